use super::*;

const NEW: (u32, u32) = OWN_REGISTRY;
const OLD: (u32, u32) = (6, 6);

fn entry(flags: &str) -> Entry {
    let text = format!(
        "enabled\ninterpreter /host/qemu\nflags: {flags}\noffset 0\n\
         magic 7f454c460201010000000000000000000200b700\n\
         mask ffffffffffffff00fffffffffffffffffeffffff\n"
    );
    Entry::parse(&text).expect("it is one")
}

fn decide(registered: Registered, emulator: Option<&str>, kernel: (u32, u32)) -> Availability {
    let emulator = emulator.map(PathBuf::from);
    let arm64 = Architecture::find("arm64").expect("it is in the table");
    Machine { registered, emulator, kernel }.decide(arm64)
}

#[track_caller]
fn check_hint(found: Availability, part: &str) {
    match found {
        Availability::Missing { hint } => assert!(hint.contains(part), "{hint}"),
        other => panic!("{other:?}"),
    }
}

fn emulated(interpreter: &str, by: Registration) -> Availability {
    Availability::Emulated { interpreter: interpreter.into(), by }
}

#[test]
fn what_the_machine_registered_comes_first() {
    let found = decide(Registered::Entry(entry("POCF")), Some("/usr/bin/qemu"), NEW);
    assert_eq!(found, emulated("/host/qemu", Registration::Machine));
    let found = decide(Registered::Entry(entry("F")), None, OLD);
    assert_eq!(found, emulated("/host/qemu", Registration::Machine));
}

#[test]
fn an_installed_emulator_is_registered_where_the_kernel_can() {
    let own = emulated("/usr/bin/qemu", Registration::Own);
    assert_eq!(decide(Registered::Unmounted, Some("/usr/bin/qemu"), NEW), own);
    assert_eq!(decide(Registered::Nothing, Some("/usr/bin/qemu"), NEW), own);
    assert_eq!(decide(Registered::Entry(entry("")), Some("/usr/bin/qemu"), NEW), own);
}

#[test]
fn hints_say_what_is_missing() {
    check_hint(decide(Registered::Unmounted, None, NEW), "install `qemu-aarch64-static`");
    check_hint(decide(Registered::Nothing, None, NEW), "need not be registered");
    check_hint(decide(Registered::Entry(entry("OC")), None, OLD), "without the flag `F`");
    check_hint(decide(Registered::Nothing, Some("/usr/bin/qemu"), OLD), "register an emulator");
    check_hint(
        decide(Registered::Unmounted, Some("/usr/bin/qemu"), OLD),
        "mount -t binfmt_misc none /proc",
    );
    check_hint(interpreter_for("wasm", None), "there is no emulator for it, but for amd64, ");
}

#[test]
fn the_own_architecture_is_native() {
    let own = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    assert_eq!(interpreter_for(own, None), Availability::Native);
    assert_eq!(interpreter_for(own, Some("v3")), Availability::Native);
}
