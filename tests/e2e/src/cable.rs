//! A network cable that a test can pull: a TCP relay between two programs.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// Relays connections to a port of 127.0.0.1 until it is dropped.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    /// Both ends of every connection that was ever made; a test makes few.
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    /// Begins to relay from a port that the operating system chooses.
    pub fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let ends: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let shared = Arc::clone(&ends);
        // Ends with the process of the test.
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else { continue };
                let mut ends = shared.lock().unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || relay(from, to));
                }
                ends.extend([near, far]);
            }
        });
        Self { address, ends }
    }

    /// Where programs connect instead.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Breaks every connection; new ones are relayed again.
    pub fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            drop(end.shutdown(Shutdown::Both));
        }
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
