//! Favorites: the apps that a user wants to find again.

use super::app::App;
use super::ids::FavoriteId;
use super::time::Timestamp;

/// A live app that a user has marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Favorite {
    pub id: FavoriteId,
    pub app: App,
    pub created_at: Timestamp,
}
