//! How much of a server's certificate is verified.

/// How much of a server's certificate is verified before anything is sent to it. TLS encrypts in each case. What is not verified leaves a
/// way in for somebody on the network between the node and the server, who can take the server's place, read the login
/// and every message, and change them.
///
/// # Examples
/// An option of a URL, as libpq's `sslmode`, becomes one of these:
/// ```
/// use roomcast_core::backend::Verification;
///
/// fn verification(option: Option<&str>) -> Option<Verification> {
///     Some(match option {
///         None | Some("full") => Verification::Full, // what a user gets who says nothing
///         Some("authority") => Verification::Authority,
///         Some("none") => Verification::Nothing, // only ever by a user's own word
///         Some(_) => return None,
///     })
/// }
/// assert_eq!(verification(None), Some(Verification::default()));
/// assert_eq!(verification(Some("yes")), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// Nothing: every certificate is taken. **Not secure.** It protects from a listener who only reads, and from nobody who can redirect
    /// the connection.
    Nothing,
    /// An authority that is trusted has signed the certificate, for whatever host, and it has not expired. **Secure only if every holder
    /// of a certificate of that authority may act as the server**: with an authority of your own for this server, and never with the
    /// authorities of the system, which sign for everybody.
    Authority,
    /// An authority that is trusted has signed the certificate, for the host that was named. This is secure, and the default.
    #[default]
    Full,
}
