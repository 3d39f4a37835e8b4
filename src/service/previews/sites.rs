//! The sites of a preview: copies of those with routes to its source (feature `preview-sites`).

use super::copy::Copier;
use crate::model::event::Event;
use crate::model::ids::{PreviewId, RouteId, SiteId};
use crate::model::pipeline::AppReference;
use crate::model::preview::PreviewSuffix;
use crate::model::route::{Route, RouteSite};
use crate::model::site::Site;
use crate::service::{Error, sites};
use crate::store::{self, Tx};

impl Copier<'_, '_> {
    /// Copies each site that leads to the source, but none that was itself made for a preview.
    pub(super) fn sites(&mut self, preview: PreviewId, suffix: &PreviewSuffix) -> Result<(), Error> {
        let mut sites: Vec<SiteId> = Vec::new();
        for route in store::routes::list_by_app(self.tx, self.source.id)? {
            if route.site.preview.is_none() && !sites.contains(&route.site.id) {
                sites.push(route.site.id);
            }
        }
        for site in sites {
            let site = sites::still(self.tx, site)?;
            self.site(preview, suffix, site)?;
        }
        Ok(())
    }

    fn site(&mut self, preview: PreviewId, suffix: &PreviewSuffix, site: Site) -> Result<(), Error> {
        let routes = store::routes::list_by_site(self.tx, site.id)?;
        let copy = Site {
            id: SiteId::new(self.ids.next()),
            domain: suffix.domain(&site.domain),
            preview: Some(preview),
            created_at: self.tx.now(),
            updated_at: self.tx.now(),
            ..site
        };
        sites::insert(self.tx, &copy)?;
        routes.into_iter().try_for_each(|route| self.route(&copy, route))
    }

    /// What led to the source leads to the preview; the rest of the site stays whole.
    fn route(&mut self, site: &Site, route: Route) -> Result<(), Error> {
        let to_source = route.app.id == self.source.id;
        let copy = Route {
            id: RouteId::new(self.ids.next()),
            site: RouteSite { id: site.id, domain: site.domain.clone(), preview: site.preview },
            app: if to_source { AppReference::of(self.target) } else { route.app },
            created_at: self.tx.now(),
            updated_at: self.tx.now(),
            ..route
        };
        store::routes::insert(self.tx, &copy)?;
        let (app, site, route) = (copy.app.id, site.id, copy.id);
        self.tx.record(Event::RouteCreated { app, site, route })?;
        Ok(())
    }
}

/// Removes the sites that were made with a preview.
pub(super) fn remove_all(tx: &mut Tx<'_>, preview: PreviewId) -> Result<(), Error> {
    store::sites::list_by_preview(tx, preview)?.iter().try_for_each(|site| sites::remove(tx, site))
}
