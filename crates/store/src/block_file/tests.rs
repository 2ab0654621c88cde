use super::*;

struct Bench {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        Self { _directory: directory, store }
    }

    fn open(&self) -> BlockFile {
        self.store.block_file("context").unwrap()
    }

    fn path(&self) -> PathBuf {
        self.store.inner.layout.digests().join("context")
    }
}

fn key(number: u32) -> Key {
    let mut key = [7; 16];
    key[3..7].copy_from_slice(&number.to_be_bytes());
    key
}

fn block(number: u32) -> Vec<u8> {
    (0..number % 3000).map(|at| at.wrapping_mul(number).to_le_bytes()[0]).collect()
}

#[test]
fn blocks_come_back_before_and_after_saving() {
    let bench = Bench::new();
    let file = bench.open();
    assert_eq!(file.get(&key(1)), None);
    for number in (0..2000).rev() {
        file.put(key(number), &block(number));
    }
    for number in 0..2000 {
        assert_eq!(file.get(&key(number)), Some(block(number)), "before saving, {number}");
    }
    file.save().unwrap();
    let again = bench.open();
    for number in 0..2000 {
        assert_eq!(again.get(&key(number)), Some(block(number)), "after saving, {number}");
    }
    again.put(key(5), b"other");
    again.put(key(5), b"another");
    assert_eq!(again.get(&key(5)).unwrap(), b"another");
    again.save().unwrap();
    let third = bench.open();
    assert_eq!(third.get(&key(5)).unwrap(), b"another");
    assert_eq!(third.get(&key(6)), Some(block(6)));
    assert_eq!(third.get(&key(2000)), None);
}

#[test]
fn nothing_is_written_when_nothing_was_put() {
    let bench = Bench::new();
    bench.open().save().unwrap();
    assert!(!bench.path().exists());
    let file = bench.open();
    file.put(key(1), b"x");
    drop(file);
    assert!(!bench.path().exists(), "what is not saved is gone");
}

#[test]
fn memory_does_not_hold_the_blocks_that_were_put() {
    let bench = Bench::new();
    let file = bench.open();
    for number in 0..100 {
        file.put(key(number), &vec![1; CHUNK / 2]);
    }
    let fresh = file.fresh.lock().unwrap();
    assert!(fresh.buffer.len() < CHUNK);
    assert!(fresh.written >= 49 * CHUNK as u64);
}

#[test]
fn a_block_goes_that_nobody_asks_for() {
    let bench = Bench::new();
    let first = bench.open();
    first.put(key(1), b"asked for");
    first.put(key(2), b"not asked for");
    first.save().unwrap();
    for _ in 0..GENERATIONS {
        let file = bench.open();
        assert!(file.get(&key(1)).is_some());
        file.put(key(3), b"new");
        file.save().unwrap();
    }
    let last = bench.open();
    assert!(last.get(&key(1)).is_some());
    assert!(last.get(&key(2)).is_none());
}

/// Few, since each byte of them is damaged once.
const BLOCKS: u32 = 7;

#[test]
fn damage_is_never_taken_for_a_block() {
    let bench = Bench::new();
    let file = bench.open();
    for number in 1..BLOCKS {
        file.put(key(number), &block(number * 7));
    }
    file.save().unwrap();
    let sound = fs::read(bench.path()).unwrap();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 0x10;
        fs::write(bench.path(), &damaged).unwrap();
        check_blocks(&bench.open());
    }
    for length in 0..sound.len() {
        fs::write(bench.path(), &sound[..length]).unwrap();
        check_blocks(&bench.open());
    }
    fs::write(bench.path(), sound).unwrap();
    assert!(bench.open().get(&key(BLOCKS - 1)).is_some());
}

fn check_blocks(file: &BlockFile) {
    for number in 1..BLOCKS {
        if let Some(found) = file.get(&key(number)) {
            assert_eq!(found, block(number * 7));
        }
    }
}

#[test]
fn of_two_who_save_at_once_one_wins_and_readers_see_whole_files() {
    let bench = Bench::new();
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let bench = &bench;
            scope.spawn(move || {
                for _ in 0..50 {
                    let file = bench.open();
                    if let Some(found) = file.get(&key(1)) {
                        assert_eq!(found.len(), 5000);
                        assert!(found.iter().all(|byte| *byte == found[0]));
                    }
                    file.put(key(1), &[writer; 5000]);
                    file.save().unwrap();
                }
            });
        }
    });
    let names = fs::read_dir(bench.store.inner.layout.digests()).unwrap();
    assert_eq!(names.count(), 1, "no drafts stay");
}
