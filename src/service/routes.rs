//! Routes: naming one, making and deleting it.
//!
//! Invariant: whoever reaches the app of a route reaches the route; to make one, the site must be within reach too.

use super::{Error, apps, sites};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::ids::{AppId, RouteId, SiteId};
use crate::model::pipeline::AppReference;
use crate::model::principal::{Principal, Reach};
use crate::model::route::{Route, RoutePath, RouteSite};
use crate::model::rule::shown;
use crate::model::site::Site;
use crate::store::{self, Connection, Store, Tx};

/// A route to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewRoute {
    /// What the request's address names already.
    pub parent: RouteParent,
    /// Domain or id of a site; may be absent where the address names one.
    pub site: Option<String>,
    /// Id, key or name of an app; may be absent where the address names one.
    pub app: Option<String>,
    pub source_path: String,
    /// Empty means `/`.
    pub target_path: String,
}

/// Below what a route is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteParent {
    Nothing,
    App(AppId),
    Site(SiteId),
}

/// The route of that id, refused when its app is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Route, Error> {
    let unknown = || Error::NotFound(format!("The route {} does not exist.", shown(text)));
    let id: RouteId = text.parse().map_err(|_| unknown())?;
    let route = store::routes::find(connection, id)?.ok_or_else(unknown)?;
    if reach.includes(route.app.organization) {
        return Ok(route);
    }
    Err(Error::Forbidden(format!(
        "The route leads to the app {}-{} of an organization of which you are no member.",
        route.app.name, route.app.space
    )))
}

/// The route of that id, when it is one of the site.
pub fn resolve_on(connection: &Connection, reach: &Reach, site: SiteId, text: &str) -> Result<Route, Error> {
    let route = resolve(connection, reach, text)?;
    if route.site.id == site {
        return Ok(route);
    }
    Err(Error::NotFound(format!("The route {} is one of the site {}.", route.id, route.site.domain)))
}

/// The routes to apps within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Route>, Error> {
    Ok(within(reach, store::routes::list(connection)?))
}

/// The routes of a site to apps within reach, oldest first.
pub fn list_by_site(connection: &Connection, reach: &Reach, site: SiteId) -> Result<Vec<Route>, Error> {
    Ok(within(reach, store::routes::list_by_site(connection, site)?))
}

fn within(reach: &Reach, mut routes: Vec<Route>) -> Vec<Route> {
    routes.retain(|route| reach.includes(route.app.organization));
    routes
}

/// Makes a route (`behaviour.md` §27): 422 for the paths and for what is not named, 404 for what does not exist,
/// then a conflict when the site has a route of the same source path.
pub async fn create(store: &Store, ids: &Ids, author: &Principal, new: NewRoute) -> Result<Route, Error> {
    let source = RoutePath::parse("source_path", &new.source_path)?;
    let target = match new.target_path.as_str() {
        "" => RoutePath::root(),
        path => RoutePath::parse("target_path", path)?,
    };
    let (id, reach) = (RouteId::new(ids.next()), author.reach.clone());
    store
        .write(author, move |tx| {
            new.check_named()?;
            let (site, app) = (new.site(tx, &reach)?, new.app(tx, &reach)?);
            add(tx, id, (site, &app), (source, target))
        })
        .await
}

/// Makes a route in the caller's transaction.
pub(super) fn add(
    tx: &mut Tx<'_>,
    id: RouteId,
    (site, app): (Site, &App),
    (source, target): (RoutePath, RoutePath),
) -> Result<Route, Error> {
    let route = Route {
        id,
        site: RouteSite { id: site.id, domain: site.domain, preview: site.preview },
        app: AppReference::of(app),
        source,
        target,
        pending: app.released_at.is_none(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::routes::insert(tx, &route).map_err(|error| {
        Error::exists(error, || {
            format!(
                "The site {} has a route from {} already; delete that one first.",
                route.site.domain,
                route.source.as_str()
            )
        })
    })?;
    tx.record(Event::RouteCreated { app: app.id, site: site.id, route: id })?;
    Ok(route)
}

/// Deletes a route.
pub async fn delete(store: &Store, author: &Principal, id: RouteId) -> Result<Route, Error> {
    store
        .write(author, move |tx| {
            let gone = || Error::NotFound(format!("The route {id} does not exist."));
            let route = store::routes::find(tx, id)?.ok_or_else(gone)?;
            remove(tx, &route)?;
            Ok(route)
        })
        .await
}

/// Removes a route in the caller's transaction.
pub(super) fn remove(tx: &mut Tx<'_>, route: &Route) -> Result<(), Error> {
    store::routes::delete(tx, route.id)?;
    tx.record(Event::RouteDeleted { app: route.app.id, site: route.site.id, route: route.id })?;
    Ok(())
}

/// Removes the routes to an app that is being deleted.
pub(super) fn remove_of_app(tx: &mut Tx<'_>, app: AppId) -> Result<(), Error> {
    for route in store::routes::list_by_app(tx, app)? {
        remove(tx, &route)?;
    }
    Ok(())
}

impl NewRoute {
    fn check_named(&self) -> Result<(), RuleError> {
        let missing = |text: &Option<String>| text.as_deref().is_none_or(|text| text.trim().is_empty());
        let (site, app) = (missing(&self.site), missing(&self.app));
        if site && !matches!(self.parent, RouteParent::Site(_)) {
            return Err(RuleError::new("The site is missing: name one by its domain or id."));
        }
        if app && !matches!(self.parent, RouteParent::App(_)) {
            return Err(RuleError::new("The app is missing: name one by its key or id."));
        }
        Ok(())
    }

    fn site(&self, tx: &Tx<'_>, reach: &Reach) -> Result<Site, Error> {
        let named = self.site.as_deref().filter(|text| !text.trim().is_empty());
        match (self.parent, named) {
            (RouteParent::Site(id), None) => sites::still(tx, id),
            (RouteParent::Site(id), Some(text)) => {
                let site = sites::resolve(tx, reach, text)?;
                same(site.id == id, "site", text)?;
                Ok(site)
            }
            (RouteParent::Nothing | RouteParent::App(_), named) => {
                sites::resolve(tx, reach, named.unwrap_or_default())
            }
        }
    }

    fn app(&self, tx: &Tx<'_>, reach: &Reach) -> Result<App, Error> {
        let named = self.app.as_deref().filter(|text| !text.trim().is_empty());
        match (self.parent, named) {
            (RouteParent::App(id), None) => apps::still(tx, id),
            (RouteParent::App(id), Some(text)) => {
                let app = apps::resolve(tx, reach, text)?;
                same(app.id == id, "app", text)?;
                Ok(app)
            }
            (RouteParent::Nothing | RouteParent::Site(_), named) => {
                apps::resolve(tx, reach, named.unwrap_or_default())
            }
        }
    }
}

/// The body names what the address names.
fn same(is: bool, noun: &str, text: &str) -> Result<(), RuleError> {
    if is {
        return Ok(());
    }
    Err(RuleError::new(format!(
        "The {noun} {} is another one than that of the address; leave it out or send the request to its own address.",
        shown(text)
    )))
}
