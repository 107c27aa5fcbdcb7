//! Stretches of text that are compressed once, and stand one after another in any gzip stream.
//!
//! RFC 1951 (deflate), RFC 1952 (gzip); one gzip member, because some clients read no further than the first.

use std::sync::OnceLock;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};
use hyper::body::Bytes;

/// A stretch of text, compressed such that stretches can be put one after another in one gzip stream: raw
/// deflate blocks that end at a whole byte and refer to nothing before them.
#[derive(Debug)]
pub struct Stretch {
    pub(super) deflated: Bytes,
    pub(super) crc: Crc,
    /// How long the text is.
    length: usize,
    /// The text, once somebody asked for it.
    plain: OnceLock<Bytes>,
}

impl Stretch {
    /// A text that is not worth compressing: it stands in stored blocks.
    pub(super) fn stored(text: Bytes) -> Self {
        let mut deflated = Vec::with_capacity(text.len() + 5);
        for block in text.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(block.len()).expect("a chunk is no longer than that");
            deflated.push(0);
            deflated.extend(length.to_le_bytes());
            deflated.extend((!length).to_le_bytes());
            deflated.extend(block);
        }
        let mut crc = Crc::new();
        crc.update(&text);
        Self {
            deflated: deflated.into(),
            crc,
            length: text.len(),
            plain: text.into(),
        }
    }

    /// The text.
    pub(super) fn plain(&self) -> &Bytes {
        self.plain.get_or_init(|| {
            let mut plain = Vec::with_capacity(self.length);
            Decompress::new(false)
                .decompress_vec(&self.deflated, &mut plain, FlushDecompress::Sync)
                .expect("we compressed it ourselves");
            plain.into()
        })
    }
}

/// Writes stretches one after another.
#[derive(Debug)]
pub(super) struct Writer {
    compress: Compress,
    text: String,
    deflated: Vec<u8>,
    crc: Crc,
    length: usize,
    plain: Option<Vec<u8>>,
}

impl Writer {
    /// `keep_plain`: somebody is likely to ask for the text.
    pub(super) fn new(keep_plain: bool) -> Self {
        Self {
            compress: Compress::new(Compression::fast(), false),
            text: String::new(),
            deflated: Vec::new(),
            crc: Crc::new(),
            length: 0,
            plain: keep_plain.then(Vec::new),
        }
    }

    /// Where to write; the whole text is never held when nobody asks for it.
    pub(super) fn text(&mut self) -> &mut String {
        if self.text.len() >= 64 * 1024 {
            self.flush(FlushCompress::None);
        }
        &mut self.text
    }

    fn flush(&mut self, how: FlushCompress) {
        let text = self.text.as_bytes();
        self.crc.update(text);
        self.length += text.len();
        if let Some(plain) = &mut self.plain {
            plain.extend(text);
        }
        let begun = self.compress.total_in();
        loop {
            self.deflated.reserve(16 * 1024);
            let done = usize::try_from(self.compress.total_in() - begun).unwrap_or(usize::MAX);
            self.compress
                .compress_vec(&text[done..], &mut self.deflated, how)
                .expect("a compressor takes any bytes");
            let done = self.compress.total_in() - begun;
            // Room that is left over says that nothing is held back.
            if done == text.len() as u64 && self.deflated.len() < self.deflated.capacity() {
                break;
            }
        }
        self.text.clear();
    }

    pub(super) fn finish(&mut self) -> Stretch {
        self.flush(FlushCompress::Full);
        self.compress.reset();
        let plain = OnceLock::new();
        if let Some(text) = &mut self.plain {
            let text: Bytes = std::mem::take(text).into_boxed_slice().into();
            plain.set(text).expect("it is new");
        }
        Stretch {
            // A box is as long as what is in it.
            deflated: std::mem::take(&mut self.deflated).into_boxed_slice().into(),
            crc: std::mem::take(&mut self.crc),
            length: std::mem::take(&mut self.length),
            plain,
        }
    }
}
