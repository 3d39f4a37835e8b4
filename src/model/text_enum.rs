//! The one macro for enums that are stored and sent as text.

/// Declares an enum whose variants have one fixed spelling, used in SQLite, in JSON and in messages.
///
/// Gives `ALL`, `as_str`, `Display`, `FromStr` (error: [`crate::model::RuleError`]), `Serialize` and
/// `Deserialize`.
#[macro_export]
macro_rules! text_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The one spelling of this variant.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::model::RuleError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err($crate::model::RuleError::new(format!(
                        "\"{}\" is not one of {}.",
                        $crate::model::rule::shown(other),
                        [$($text),+].join(", ")
                    ))),
                }
            }
        }
    };
}
