//! How a target's view is handed in: what is saved before, and what a scrape has to see first.

use super::{Target, now_seconds};
use crate::exporter::series::rate_window_seconds;
use crate::exporter::snapshot::View;
use crate::exporter::view;
use crate::exporter::watched::Watched;

impl Target {
    pub(super) fn start_was_seen(&mut self) -> bool {
        let (scraped, now, interval) = (
            self.parts.publisher.scraped(),
            now_unsigned(),
            self.scrape_interval(),
        );
        let mut seen = false;
        for watched in self.watched.iter_mut().filter(|watched| watched.held()) {
            watched.show(scraped, now, interval);
            seen |= !watched.held();
        }
        seen
    }

    fn scrape_interval(&self) -> u64 {
        self.config()
            .spec
            .monitoring
            .scrape_interval()
            .as_secs()
            .into()
    }

    /// Saves the books, and then hands in the view of now. What cannot be saved is not shown: a
    /// restart would not know of it.
    pub(super) async fn publish(&mut self) {
        let (scraped, now, interval) = (
            self.parts.publisher.scraped(),
            now_unsigned(),
            self.scrape_interval(),
        );
        self.want_buckets();
        self.said_catching_up = self.catching_up();
        for watched in &mut self.watched {
            watched.show(scraped, now, interval);
        }
        self.published = self.save().await;
        if !self.published {
            self.tell();
            return;
        }
        let publisher = self.parts.publisher.clone();
        let most = u64::try_from(self.config().spec.collection.max_series).unwrap_or(0);
        let mut view = View {
            subjects: self.heavy(|| view::subjects(self)),
            ..View::default()
        };
        // What is said of the counters is said of those that are shown with it.
        let fits = publisher.fits(&self.parts.key, &view.subjects, most);
        view.truncate(fits);
        self.note_room(fits);
        self.note_counted();
        view.freshness = view::freshness(self);
        view.status = view::status(self);
        let (snapshot, shown) = self.heavy(|| publisher.publish(&self.parts.key, Some(view), most));
        if shown < fits {
            self.note_room(shown);
        }
        for watched in self.shown() {
            watched.announced(snapshot, now);
        }
    }

    /// Hands in what is reported of the target, without its series.
    pub(super) fn tell(&self) {
        let status = view::status(self);
        self.parts.publisher.note_status(&self.parts.key, status);
    }

    /// Notes for how many subjects, the first ones, there is room. The others are not announced, and not asked for.
    fn note_room(&mut self, subjects: usize) {
        let minute = self.minute();
        let alive = self
            .watched
            .iter_mut()
            .filter(|watched| !watched.retired(minute));
        let mut comes_back = false;
        for (place, watched) in alive.enumerate() {
            let left_out = place >= subjects;
            comes_back |= watched.left_out && !left_out;
            watched.left_out = left_out;
        }
        if comes_back {
            // The next poll brings what has happened in the meantime at once.
            let interval = i64::try_from(self.interval().as_secs()).unwrap_or(0);
            let until = now_seconds() + interval + rate_window_seconds(interval);
            self.catching_up_until = self.catching_up_until.max(until);
        }
    }

    /// Those for which there was room.
    fn shown(&mut self) -> impl Iterator<Item = &mut Watched> {
        let minute = self.minute();
        let watched = self.watched.iter_mut();
        watched.filter(move |watched| !watched.retired(minute) && !watched.left_out)
    }
}

fn now_unsigned() -> u64 {
    now_seconds().unsigned_abs()
}
