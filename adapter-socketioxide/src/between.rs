//! Something done between the beginning of a future and its end.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Polls the future once, then does this, then waits for the rest. Returns what both give.
///
/// # Cancel safety
/// That of the future; what is done in between is done with the first poll.
pub(crate) async fn between<F: Future, T>(future: F, then: impl FnOnce() -> T) -> (F::Output, T) {
    let mut future = pin!(future);
    let begun = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
    let done = then();
    let output = match begun {
        Poll::Ready(output) => output,
        Poll::Pending => future.await,
    };
    (output, done)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::between;

    #[test]
    fn it_is_done_after_the_first_step_and_does_not_wait_for_the_others() {
        let (sender, receiver) = oneshot::channel();
        let steps = Mutex::new(Vec::new());
        let note = |step| steps.lock().expect("nothing panics while it is held").push(step);
        let mut both = Box::pin(between(
            async {
                note("begun");
                let got = receiver.await;
                note("ended");
                got
            },
            || note("between"),
        ));
        assert!(both.as_mut().now_or_never().is_none(), "nobody has sent anything");
        assert_eq!(*steps.lock().expect("as above"), ["begun", "between"]);
        sender.send(7).expect("it is waited for");
        assert_eq!(both.now_or_never(), Some((Ok(7), ())));
        assert_eq!(*steps.lock().expect("as above"), ["begun", "between", "ended"]);
    }

    #[test]
    fn it_is_done_behind_a_future_that_ends_at_once() {
        assert_eq!(between(async { 1 }, || 2).now_or_never(), Some((1, 2)));
    }
}
