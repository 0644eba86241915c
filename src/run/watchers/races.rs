//! Who begins to wait, who tells of a change and who leaves, in every order. The map's own locks are no scheduler's
//! business, so each call is one step here.

use std::sync::Mutex;

use shuttle::{check_dfs, future::block_on, thread};

use super::*;

/// What the watched operation is like, as the store would say.
type Ended = Mutex<bool>;

fn watch_until_ended(watchers: &Arc<Watchers>, id: OperationId, ended: &Ended) {
    let mut watch = watchers.watch(id);
    loop {
        thread::yield_now();
        if *ended.lock().unwrap() {
            break;
        }
        thread::yield_now();
        assert!(block_on(watch.changed()), "nothing shuts down");
    }
}

#[test]
fn no_change_is_missed_whoever_else_comes_and_goes() {
    let every = || {
        let (watchers, id) = (Arc::new(Watchers::default()), OperationId::random());
        let ended = Arc::new(Ended::default());
        let waiting = {
            let (watchers, ended) = (Arc::clone(&watchers), Arc::clone(&ended));
            thread::spawn(move || watch_until_ended(&watchers, id, &ended))
        };
        let leaving = {
            let watchers = Arc::clone(&watchers);
            thread::spawn(move || {
                let watch = watchers.watch(id);
                thread::yield_now();
                drop(watch);
            })
        };
        *ended.lock().unwrap() = true;
        thread::yield_now();
        watchers.changed(id);
        waiting.join().unwrap();
        leaving.join().unwrap();
        assert!(watchers.watched.is_empty());
        assert_eq!(watchers.count.load(Ordering::SeqCst), 0);
    };
    check_dfs(every, None);
}

#[test]
fn nobody_waits_for_what_has_stopped_or_after_a_shutdown() {
    let every = || {
        let (watchers, id) = (Arc::new(Watchers::default()), OperationId::random());
        let before = watchers.watch(id);
        let stopping = thread::spawn(move || block_on(before.stopped(1)));
        let waiting = {
            let watchers = Arc::clone(&watchers);
            thread::spawn(move || {
                let mut watch = watchers.watch(id);
                thread::yield_now();
                while block_on(watch.changed()) {}
            })
        };
        watchers.stopped(id, 1);
        thread::yield_now();
        watchers.close();
        assert!(stopping.join().unwrap(), "it stopped before the shutdown");
        waiting.join().unwrap();
        assert!(watchers.watched.is_empty());
    };
    check_dfs(every, None);
}
