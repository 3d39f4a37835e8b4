//! The journalled steps: the points between two durable changes at which the daemon may die.

crate::text_enum! {
    /// Each step is on disk, or about to be, when it is reached; tests kill the daemon at every one of them.
    pub enum JournalStep {
        BuildQueued => "build-queued",
        BuildFetching => "build-fetching",
        BuildUnpacking => "build-unpacking",
        BuildBuilding => "build-building",
        BuildRecording => "build-recording",
        BuildSucceeded => "build-succeeded",
        ReleaseQueued => "release-queued",
        ReleasePending => "release-pending",
        DynoCreated => "dyno-created",
        DynoStarted => "dyno-started",
        ReleasePromoted => "release-promoted",
        ReleaseSucceeded => "release-succeeded",
        DynoDraining => "dyno-draining",
        DynoStopped => "dyno-stopped",
        OneOffEnding => "one-off-ending",
        OneOffEnded => "one-off-ended",
        AppDeleted => "app-deleted",
        AppDynosRemoved => "app-dynos-removed",
        AppImagesRemoved => "app-images-removed",
        AcmeOrderPlaced => "acme-order-placed",
        AcmeChallengesReady => "acme-challenges-ready",
        AcmeOrderFinalized => "acme-order-finalized",
        CertificateIssued => "certificate-issued",
        SuccessorPrepared => "successor-prepared",
        ControlPlaneReleased => "control-plane-released",
        SuccessorReleased => "successor-released",
    }
}
