//! The program inside the dynos of suite 2: an HTTP/1.1 server that can be told to misbehave.
//!
//! Compiled with plain `rustc` by the harness, so it uses the standard library only. Its orders are lines
//! `name=value` in `/behaviour`, baked into the image, and such words of its command: `version`,
//! `boot_delay_ms`, `never_listen`,
//! `exit_code`, `exit_after_ms`, `health_status`, `eat_memory`, `hold_memory_mib`, `burn_cpu`, `write_mib`,
//! `echo` (says what it hears until its input ends, then exits with 5),
//! `count_for_ms` (numbered lines, one a millisecond), `flood_for_ms` (long lines as fast as they go, or
//! `flood_mb_s` megabytes a second).

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Requests for `/` so far.
static COUNT: AtomicU64 = AtomicU64::new(0);

fn main() {
    let mut orders: HashMap<String, String> = std::fs::read_to_string("/behaviour")
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = words.iter().filter_map(|word| word.split_once('='));
    orders.extend(given.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let orders = orders;
    if orders.contains_key("echo") {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            println!("heard {line}");
        }
        std::process::exit(5);
    }
    let number = |name: &str| orders.get(name).and_then(|text| text.parse::<u64>().ok());
    println!("dyno version {} starts", orders.get("version").map_or("none", String::as_str));
    if let Some(code) = number("exit_code") {
        std::thread::sleep(Duration::from_millis(number("exit_after_ms").unwrap_or(0)));
        eprintln!("told to exit with {code}");
        std::process::exit(i32::try_from(code).unwrap_or(1));
    }
    if orders.contains_key("eat_memory") {
        eat_memory();
    }
    // Every page is written to, so that it is really there.
    let held = vec![1_u8; usize::try_from(number("hold_memory_mib").unwrap_or(0)).unwrap_or(0) << 20];
    println!("holding {} bytes", std::hint::black_box(&held).len());
    if let Some(mebibytes) = number("write_mib") {
        let written = std::fs::write("/written", vec![7_u8; usize::try_from(mebibytes).unwrap_or(0) << 20]);
        println!("wrote a file: {written:?}");
    }
    if orders.contains_key("burn_cpu") {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
    if orders.contains_key("never_listen") {
        println!("never listening");
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
    std::thread::sleep(Duration::from_millis(number("boot_delay_ms").unwrap_or(0)));
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(9000);
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("the port is free in a dyno");
    println!("listening on {port}");
    if let Some(time) = number("count_for_ms") {
        std::thread::spawn(move || count(Duration::from_millis(time)));
    }
    if let Some(time) = number("flood_for_ms") {
        let rate = number("flood_mb_s");
        std::thread::spawn(move || flood(Duration::from_millis(time), rate));
    }
    let orders = Arc::new(orders);
    for stream in listener.incoming().flatten() {
        let orders = Arc::clone(&orders);
        std::thread::spawn(move || serve(stream, &orders));
    }
}

/// Writes `n 0`, `n 1` and so on, every third to stderr, then `counted` and how many there were.
fn count(time: Duration) {
    let began = std::time::Instant::now();
    let mut number = 0_u32;
    while began.elapsed() < time {
        if number.is_multiple_of(3) {
            eprintln!("n {number}");
        } else {
            println!("n {number}");
        }
        number += 1;
        if number.is_multiple_of(20) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    println!("counted {number}");
}

fn flood(time: Duration, megabytes_a_second: Option<u64>) {
    let (began, line) = (std::time::Instant::now(), "f".repeat(999));
    let mut lines = 0_u64;
    while began.elapsed() < time {
        println!("{line}");
        lines += 1;
        // A thousand lines are a megabyte.
        if lines.is_multiple_of(1000)
            && let Some(rate) = megabytes_a_second
        {
            let due = Duration::from_millis(lines / rate);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    println!("flooded {} MB", lines / 1000);
}

fn eat_memory() {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    loop {
        eaten.push(vec![1; 8 * 1024 * 1024]);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn serve(stream: TcpStream, orders: &HashMap<String, String>) {
    let _no_delay = stream.set_nodelay(true);
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    loop {
        let Some((line, headers)) = head(&mut reader) else { return };
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let length = headers.get("content-length").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let Ok(_) = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()) else { return };
        if headers.contains_key("upgrade") {
            echo(&mut reader, &mut writer);
            return;
        }
        if let Some(bytes) = path.strip_prefix("/download?") {
            if download(&mut writer, bytes.parse().unwrap_or(0)).is_err() {
                return;
            }
            continue;
        }
        let (status, body) = answer(&path, &headers, orders);
        let close = headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let answer = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if writer.write_all(answer.as_bytes()).is_err() || close {
            return;
        }
    }
}

/// Gives back whatever comes, as a WebSocket server does that answers each frame with itself.
fn echo(reader: &mut impl Read, writer: &mut impl Write) {
    let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if writer.write_all(switched).is_ok() {
        let _ended = std::io::copy(reader, writer);
    }
}

/// Bytes that count up to 250, again and again.
fn download(writer: &mut impl Write, bytes: usize) -> std::io::Result<()> {
    write!(writer, "HTTP/1.1 200 Answer\r\nContent-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n\r\n")?;
    let block: Vec<u8> = (0..=250_u8).cycle().take(251 * 256).collect();
    let mut left = bytes;
    while left > 0 {
        let part = &block[..left.min(block.len())];
        writer.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

fn head(reader: &mut impl BufRead) -> Option<(String, HashMap<String, String>)> {
    let mut first = String::new();
    if reader.read_line(&mut first).ok()? == 0 {
        return None;
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return Some((first.trim_end().to_owned(), headers)),
        };
    }
}

fn answer(path: &str, headers: &HashMap<String, String>, orders: &HashMap<String, String>) -> (u16, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    match path {
        "/health" => {
            let status = orders.get("health_status").and_then(|text| text.parse().ok()).unwrap_or(200);
            (status, "health".to_owned())
        }
        "/slow" => {
            std::thread::sleep(Duration::from_millis(query.parse().unwrap_or(1000)));
            (200, version(orders))
        }
        "/env" => (200, std::env::var(query).unwrap_or_default()),
        "/headers" => {
            let mut lines: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            lines.sort();
            (200, lines.join("\n"))
        }
        "/connect" => (200, connect(query)),
        "/query" => (200, run("query", query)),
        "/redis" => (200, run("redis", query)),
        "/memcached" => (200, run("ask-memcached", query)),
        "/count" => (200, COUNT.load(Ordering::SeqCst).to_string()),
        "/" => {
            COUNT.fetch_add(1, Ordering::SeqCst);
            (200, version(orders))
        }
        "/cpu" => (200, cpu_ticks().to_string()),
        _ => (200, version(orders)),
    }
}

/// The processor time of this process so far, in hundredths of a second, as the kernel tells it.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn version(orders: &HashMap<String, String>) -> String {
    orders.get("version").cloned().unwrap_or_default()
}

/// What a program of the image says to a question, which is written as in the query of an address.
fn run(program: &str, question: &str) -> String {
    let mut parts = question.split('%');
    let mut decoded = parts.next().unwrap_or("").replace('+', " ");
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(char::from(code.unwrap_or(b'?')));
        decoded.push_str(&part.get(2..).unwrap_or("").replace('+', " "));
    }
    match std::process::Command::new(program).arg(decoded).output() {
        Ok(said) => String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).trim().to_owned(),
        Err(error) => format!("{program}: {error}"),
    }
}

/// `host:port` → `reached`, or why not.
fn connect(target: &str) -> String {
    let addresses = match target.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) => return format!("unknown: {error}"),
    };
    for address in addresses {
        if TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok() {
            return "reached".to_owned();
        }
    }
    "refused".to_owned()
}
