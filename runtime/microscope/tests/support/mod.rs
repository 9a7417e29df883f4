//! A browser for tests: Chromium without a window, driven over a pipe.
//!
//! The DevTools protocol as far as these tests need it: messages are JSON, each ended by a zero byte,
//! on the browser's file descriptors 3 (in) and 4 (out).

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// How long a browser may be silent before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where Debian, Ubuntu and others put it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A running browser with one page.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    profile: PathBuf,
    /// What the page complained about.
    pub errors: Vec<String>,
}

impl Browser {
    /// Starts a browser, or says that there is none.
    pub fn start(name: &str) -> Option<Browser> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path)
            .flat_map(|dir| NAMES.map(|name| dir.join(name)))
            .find(|file| file.is_file());
        let Some(program) = found else {
            eprintln!("SKIPPED: no browser is installed (Debian: apt-get install chromium)");
            return None;
        };
        let profile = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        // The shell gives the browser the pipes as descriptors 3 and 4; std has no safe way to.
        let mut child = Command::new("sh")
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null")
            .arg(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--disable-background-networking", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let to = child.stdin.take().expect("a pipe");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, from) = channel();
        std::thread::spawn(move || {
            for message in out.split(0) {
                let Ok(message) = message else { break };
                let value = serde_json::from_slice(&message).expect("the browser speaks JSON");
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser =
            Browser { child, to, from, session: None, next_id: 0, profile, errors: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    fn receive(&mut self) -> Value {
        let message = self.from.recv_timeout(PATIENCE).expect("the browser answers");
        let params = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                Some(params["entry"].to_string())
            }
            Some("Runtime.consoleAPICalled") => Some(params["args"].to_string()),
            _ => None,
        };
        self.errors.extend(complaint);
        message
    }

    /// Calls a method and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser listens");
        loop {
            let answer = self.receive();
            if answer["id"] == json!(id) {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
    }

    /// Opens a file and waits until it is loaded.
    pub fn open(&mut self, path: &Path, hash: &str) {
        // A new hash alone would not load the page again.
        self.call("Page.navigate", json!({ "url": "about:blank" }));
        let url = format!("file://{}{hash}", path.display());
        self.call("Page.navigate", json!({ "url": url }));
        self.evaluate(
            "new Promise((done) => document.readyState === 'complete' ? done() \
             : addEventListener('load', done))",
        );
        self.frame();
    }

    /// Waits until the page has drawn.
    pub fn frame(&mut self) {
        self.evaluate(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
        );
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "returnByValue": true, "awaitPromise": true,
        });
        let result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// Sets the size of the window and the colour scheme.
    pub fn look(&mut self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
        self.frame();
    }

    /// Presses a key.
    pub fn key(&mut self, key: &str, modifiers: u32) {
        let text = if key.len() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let params = json!({ "type": kind, "key": key, "text": text, "modifiers": modifiers });
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Lets the mouse do something at a place: `mousePressed`, `mouseMoved`, `mouseWheel`, …
    pub fn pointer(&mut self, kind: &str, x: f64, y: f64) {
        let params = json!({
            "type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1,
            "deltaX": 0, "deltaY": -120,
        });
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Writes a picture of the page.
    pub fn picture(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = base64(shot["data"].as_str().expect("a picture"));
        std::fs::write(path, bytes).expect("a picture is written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A browser that is gone already is as good.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.profile));
    }
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|c| ALPHABET.iter().position(|a| *a == c));
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        held = (held << 6 | digit) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
