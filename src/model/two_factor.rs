//! One-time codes as authenticator apps show them (RFC 6238: SHA-1, 6 digits, 30 seconds).

use totp_rs::{Builder, Secret, Totp, TotpError};

use super::names::UserName;
use super::time::Timestamp;

/// Length of a shared secret in bytes (RFC 4226 §4).
pub const SECRET_LENGTH: usize = 20;
const ISSUER: &str = "akkerisd";

/// A secret that an account shares with an authenticator app.
pub struct SharedSecret(Totp);

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedSecret([sealed])")
    }
}

impl SharedSecret {
    /// A secret of the account of that name.
    pub fn new(bytes: [u8; SECRET_LENGTH], name: &UserName) -> Result<Self, TotpError> {
        let builder = Builder::new()
            .with_secret(bytes)
            .with_skew(1)
            .with_account_name(name.as_str())
            .with_issuer(Some(ISSUER));
        Ok(Self(builder.build()?))
    }

    /// The secret in base 32, for typing.
    pub fn to_base32(&self) -> String {
        self.0.secret().to_base32()
    }

    /// The `otpauth://` address, for a QR code.
    pub fn to_url(&self) -> Result<String, TotpError> {
        self.0.to_url()
    }

    /// The 30-second step whose code this is: the present one or a neighbour. The caller sees to it that a
    /// step is accepted once (RFC 6238 §5.2).
    pub fn step_of(&self, code: &str, now: Timestamp) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let plain = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_digit());
        let seconds = u64::try_from(now.as_millis() / 1000).unwrap_or(0);
        let step = plain.then(|| self.0.check(&digits, seconds)).flatten()?;
        i64::try_from(step).ok()
    }
}

/// The bytes of a secret in base 32.
pub fn from_base32(text: &str) -> Option<[u8; SECRET_LENGTH]> {
    Secret::try_from_base32(text).ok()?.as_bytes().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238, appendix B.
    fn of_the_rfc() -> SharedSecret {
        SharedSecret::new(*b"12345678901234567890", &UserName::parse("alice").unwrap()).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")] {
            assert_eq!(of_the_rfc().step_of(code, at(seconds)), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(of_the_rfc().step_of("287 082", at(59)), Some(1), "people type spaces");
    }

    #[test]
    fn a_code_is_good_for_its_own_step_and_the_neighbours_only() {
        for (seconds, good) in [(29, true), (0, true), (60, true), (89, true), (90, false), (1000, false)] {
            assert_eq!(of_the_rfc().step_of("287082", at(seconds)).is_some(), good, "{seconds}");
        }
        for bad in ["", "28708", "2870821", "abcdef", "+87082", "٢٨٧٠٨٢"] {
            assert_eq!(of_the_rfc().step_of(bad, at(59)), None, "{bad}");
        }
    }

    #[test]
    fn the_secret_travels_in_base_32_and_as_an_address() {
        let secret = of_the_rfc();
        assert_eq!(from_base32(&secret.to_base32()), Some(*b"12345678901234567890"));
        assert_eq!(from_base32("AAAA"), None);
        let url = secret.to_url().unwrap();
        assert!(url.starts_with("otpauth://totp/akkerisd:alice?secret=GEZDGNBVGY3TQOJQ"), "{url}");
    }
}
