//! A chromedriver of one's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How long Chromium may take to end before chromedriver is killed.
const ENDING: Duration = Duration::from_secs(5);

/// A running chromedriver; it takes its Chromium along when it ends.
#[derive(Debug)]
pub(crate) struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts it at a port that the operating system chooses.
    pub(crate) fn start() -> Result<Self, Error> {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let mut command = Command::new(&program);
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|source| Error::Missing { program, source })?;
        let output = child.stdout.take();
        let mut driver = Self { child, port: 0 };
        let mut lines = BufReader::new(output.ok_or(Error::Driver)?).lines().map_while(Result::ok);
        driver.port = lines.find_map(|line| port(&line)).ok_or(Error::Driver)?;
        // Somebody has to read what it says later.
        thread::spawn(move || lines.for_each(drop));
        Ok(driver)
    }

    pub(crate) fn address(&self) -> String {
        format!("http://{}:{}/", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Asks it to end all sessions and itself.
    fn shut_down(&self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(ENDING))?;
        write!(
            stream,
            "GET /shutdown HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            self.port
        )?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A driver that is killed would leave its Chromium behind, so it is asked first.
        let _ = self.shut_down();
        let deadline = Instant::now() + ENDING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The port in `ChromeDriver was started successfully on port 12345.`
fn port(line: &str) -> Option<u16> {
    line.split_once("successfully on port ")?.1.trim().trim_end_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_chromedriver_says() {
        assert_eq!(port("ChromeDriver was started successfully on port 34567."), Some(34_567));
        assert_eq!(port("Starting ChromeDriver 148.0.7778.167 on port 0"), None);
    }
}
