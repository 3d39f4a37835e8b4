//! Favorites: marking an app, and unmarking it. They belong to the one who asks.

use super::{Error, apps};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::event::Event;
use crate::model::favorite::Favorite;
use crate::model::ids::FavoriteId;
use crate::model::principal::Principal;
use crate::store::{self, Store};

/// Marks the app of that id, key or name; one that is a favorite already stays the one it is
/// (`behaviour.md` §34).
pub async fn create(store: &Store, ids: &Ids, author: &Principal, app: String) -> Result<Favorite, Error> {
    if app.trim().is_empty() {
        return Err(RuleError::new("The field \"app\" is empty: give the id, key or name of an app.").into());
    }
    let (id, user, reach) = (FavoriteId::new(ids.next()), author.user.clone(), author.reach.clone());
    store
        .write(author, move |tx| {
            let app = apps::resolve(tx, &reach, &app)?;
            if let Some(favorite) = store::favorites::find(tx, &user, app.id)? {
                return Ok(favorite);
            }
            let favorite = Favorite { id, app, created_at: tx.now() };
            store::favorites::insert(tx, &user, &favorite)?;
            tx.record(Event::FavoriteCreated { app: favorite.app.id })?;
            Ok(favorite)
        })
        .await
}

/// Unmarks an app; not found when it is no favorite.
pub async fn delete(store: &Store, author: &Principal, app: App) -> Result<(), Error> {
    let user = author.user.clone();
    store
        .write(author, move |tx| {
            if !store::favorites::remove(tx, &user, app.id)? {
                return Err(Error::NotFound(format!("The app {} is no favorite of {user}.", app.key())));
            }
            tx.record(Event::FavoriteDeleted { app: app.id })?;
            Ok(())
        })
        .await
}
