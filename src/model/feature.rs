//! App features: switches that are on or off for one app.

crate::text_enum! {
    /// A feature that the daemon itself acts on. What is shown about it is in the catalogue.
    pub enum Feature {
        /// Each successful build is released at once (`behaviour.md` §14); on when an app is created.
        AutoRelease => "auto-release",
        /// On when an app is created, deprecated: the edge always offers HTTP/2.
        Http2 => "http2",
    }
}

impl Feature {
    /// The features that a new app starts with (`behaviour.md` §3).
    pub const ON_AT_CREATION: &'static [Self] = &[Self::AutoRelease, Self::Http2];
}
