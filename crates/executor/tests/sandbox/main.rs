fn main() {
    if let Some(code) = lathe_executor::init_main() { std::process::exit(code); }
    use lathe_executor::*;
    let rootfs = std::env::args().nth(1).unwrap();
    let n: u32 = std::env::args().nth(2).unwrap().parse().unwrap();
    let args: Vec<String> = std::env::args().skip(3).collect();
    let t = std::time::Instant::now();
    for _ in 0..n {
        let mut p = Process::new(args.clone());
        p.env = vec!["PATH=/bin:/usr/bin".into()];
        let mut s = Sandbox::new(&rootfs);
        if std::env::var("NET").is_ok() { s.network = Network::None; }
        let r = spawn(&s, &p, Stdio::inherit());
        match r { Ok(r) => { let e = r.wait(&lathe_event::Cancel::new()); if n == 1 { println!("{e:?}"); } } Err(e) => {println!("{e} {e:?}"); std::process::exit(e.exit_code())} }
    }
    println!("{:?} each", t.elapsed() / n);
}
