//! Zips that are the same whenever and wherever they are made.

use std::io::{Cursor, Write as _};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::file::PackedFile;

/// A zip of these files in their order, each dated `date`.
pub(super) fn zipped(files: &[PackedFile<'_>], date: Timestamp) -> Result<Vec<u8>, ZipError> {
    let date = date.to_zoned(TimeZone::UTC).datetime();
    // Dates are checked where they come from; what is left to fail here has no date at all.
    let date = DateTime::try_from(date).unwrap_or_default();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for file in files {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(date)
            .unix_permissions(file.mode);
        zip.start_file(file.path, options)?;
        zip.write_all(file.bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}
