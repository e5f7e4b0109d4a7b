//! The backend, put to the test against mosquitto.

use adapter_mqtt::Mqtt;
use roomcast_conformance::Subject;
use roomcast_conformance::broker::{Launch, Recipe};

/// CONNECT with a clean session, and SUBSCRIBE to the topic that holds the version.
const ASK: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0\x82\x18\0\x01\0\x13$SYS/broker/version\0";

const IN_A_CONTAINER: &str = "echo \"$CONFIG\" > /tmp/conf && exec mosquitto -c /tmp/conf";

/// Without a limit of queued messages mosquitto disconnects a slow reader. By default it drops that reader's messages silently.
const CONFIG: &str = "
listener {port} {bind}
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 1000";

fn main() -> std::process::ExitCode {
    let mosquitto = Recipe::new("mosquitto", "mqtt")
        .program(Launch::new("mosquitto").file("conf", CONFIG).args(["-c", "{folder}/conf"]))
        .image(Launch::new("eclipse-mosquitto:2").args(["sh", "-c", IN_A_CONTAINER]).envs([("CONFIG", CONFIG)]))
        .answers(1883, ASK, "mosquitto version ");
    roomcast_conformance::main([Subject::new("mqtt", Mqtt::from_url).broker(mosquitto)])
}
