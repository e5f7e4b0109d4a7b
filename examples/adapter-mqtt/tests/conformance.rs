//! The backend, put to the test against mosquitto.

use adapter_mqtt::Mqtt;
use conformance::Subject;
use conformance::broker::{Launch, Probe, Recipe, Setup};

/// CONNECT with a clean session, and SUBSCRIBE to the topic that holds the version.
const ASK: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\x82\x18\0\x01\0\x13$SYS/broker/version\0";

/// Whoever reads too slowly waits, and is dropped after a while: by default mosquitto throws messages away without a word instead.
macro_rules! settings {
    () => {
        "printf 'listener {port} {bind}\\nallow_anonymous true\\nset_tcp_nodelay true\\nmax_queued_messages 0\\nmax_inflight_messages 1000\\n'"
    };
}

/// Debian's mosquitto, or the official image.
const MOSQUITTO: Recipe = Recipe {
    name: "mosquitto",
    setting: "MOSQUITTO",
    family: "MOSQUITTO",
    scheme: "mqtt",
    servers: 1,
    local: Launch {
        what: "mosquitto",
        arguments: &[&["-c", "{folder}/mosquitto.conf"]],
        environment: &[],
        prepare: &[&["sh", "-c", concat!(settings!(), " > mosquitto.conf")]],
        user: None,
        stop: "TERM",
    },
    container: Launch {
        what: "eclipse-mosquitto:2",
        arguments: &[&["sh", "-c", concat!(settings!(), " > /tmp/conf && exec mosquitto -c /tmp/conf")]],
        environment: &[],
        prepare: &[],
        user: None,
        stop: "TERM",
    },
    probe: Probe::Answer { port: 1883, ask: ASK, before_version: "mosquitto version " },
    setup: Setup::None,
};

fn main() -> std::process::ExitCode {
    conformance::main([Subject::new("mqtt", |url| Ok(Box::new(Mqtt::from_url(url)?))).broker(MOSQUITTO)])
}
