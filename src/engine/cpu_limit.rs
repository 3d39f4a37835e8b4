//! How much of the CPUs the processes of a container may use together.
//!
//! Invariant: a limit is one that the kernel can be told, so nothing below [`CpuLimit::LEAST`].

/// A limit in cores: a part of one, or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuLimit {
    millionths: u32,
}

impl CpuLimit {
    /// A thousandth of a core: a millisecond of each second, which is both the shortest quota and the longest period
    /// of Linux.
    pub const LEAST: Self = Self { millionths: 1_000 };
    /// More than any machine has.
    const MOST: Self = Self { millionths: 4_000_000_000 };

    /// The nearest limit to so many cores.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is within the bounds before, and their number is whole"
    )]
    pub fn of_cores(cores: f64) -> Self {
        let (least, most) = (f64::from(Self::LEAST.millionths), f64::from(Self::MOST.millionths));
        Self { millionths: (cores * 1e6).round().max(least).min(most) as u32 }
    }

    /// In cores.
    pub fn cores(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}
