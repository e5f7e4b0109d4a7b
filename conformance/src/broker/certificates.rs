//! Certificates for this machine.

/// Makes them in the folder where a shell runs this: an authority (`ca.pem`), and what it signed for 127.0.0.1 and `localhost`:
/// `server.pem`, `client.pem`, and their keys (`.key`).
pub(crate) const SCRIPT: &str = "set -e
    key='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
    openssl req -x509 $key -keyout ca.key -out ca.pem -days 2 -subj /CN=ca
    echo subjectAltName=IP:127.0.0.1,DNS:localhost >names
    for name in server client; do
        openssl req -new $key -keyout $name.key -out $name.csr -subj /CN=$name
        openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $name.pem -days 2 -extfile names
    done";
