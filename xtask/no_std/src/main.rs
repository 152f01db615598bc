//! kafka-wire at work where there is no std: a request and a response there and back.
//!
//! The allocator and the panic handler are this program's own. If std came in with kafka-wire or with what it depends
//! on, there would be a second panic handler, and this would not compile.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::string::ToString;
use alloc::vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};

use kafka_wire::messages::{MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker};
use kafka_wire::{
    CorrelationId, NodeId, WireError, decode_request, decode_request_header, decode_response, encode_request,
    encode_response,
};

/// Called by the system's start-up code, which a program without std must bring along by name.
#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    match there_and_back() {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(_) => 2,
    }
}

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}

fn there_and_back() -> Result<bool, WireError> {
    const VERSION: i16 = 12;
    let topic = MetadataRequestTopic { name: Some("orders".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let correlation_id = CorrelationId(7);
    let frame = encode_request(&request, VERSION, correlation_id, Some("no-std"))?.into_bytes();
    // The first four bytes are the frame's size.
    let frame = frame.slice(4..);
    let (header, body) = decode_request_header(&frame)?;
    let decoded: MetadataRequest = decode_request(&header, body)?;

    let broker = MetadataResponseBroker {
        node_id: NodeId(1),
        host: "localhost".to_string(),
        port: 9092,
        ..Default::default()
    };
    let response = MetadataResponse { brokers: vec![broker], ..Default::default() };
    let frame = encode_response(&response, VERSION, correlation_id)?.into_bytes().slice(4..);
    let (answered, answer) = decode_response::<MetadataResponse>(&frame, VERSION)?;
    Ok(decoded == request && answered == correlation_id && answer == response)
}

/// Hands out an arena from front to back and takes nothing back: more than enough for two messages.
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_SIZE]>,
    used: AtomicUsize,
}

const ARENA_SIZE: usize = 1 << 20;

// SAFETY: `used` hands every byte of the arena to one caller at most.
unsafe impl Sync for Arena {}

// SAFETY: blocks are aligned as asked, lie inside the arena, and never overlap, for `used` only grows.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.bytes.get().cast::<u8>();
        let end = |used: usize| {
            let address = (base as usize).checked_add(used)?.checked_next_multiple_of(layout.align())?;
            let start = address - base as usize;
            let end = start.checked_add(layout.size())?;
            (end <= ARENA_SIZE).then_some(end)
        };
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, end) {
            // SAFETY: the block's end is inside the arena, and so is its start.
            Ok(used) => end(used).map_or(null_mut(), |end| unsafe { base.add(end - layout.size()) }),
            Err(_) => null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; ARENA_SIZE]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: takes nothing and does not return.
    unsafe { abort() }
}

/// Named by the tables of the `alloc` that comes compiled for unwinding; here a panic aborts, and nobody calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}
