//! Invoices: the months there are, and what one of them costs.

use super::Error;
use crate::model::catalogue::Catalogue;
use crate::model::invoice::{AddonPeriod, Cents, FormationPeriod, Month, prorated};
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::store::Connection;
use crate::store::addon_periods;
use crate::store::formation_periods::{self, BillingScope};

/// What the dynos and addons of a month cost until now.
#[derive(Debug, Clone)]
pub struct Invoice {
    pub month: Month,
    /// The end of the month, or now when that is earlier.
    pub period_end: Timestamp,
    /// Whether the month is over.
    pub paid: bool,
    pub items: Vec<Item>,
}

/// One line of an invoice.
#[derive(Debug, Clone)]
pub struct Item {
    pub what: Billed,
    /// Cents a month of one.
    pub price: u32,
    pub billed: Cents,
}

/// What was there for a time.
#[derive(Debug, Clone)]
pub enum Billed {
    Dynos(FormationPeriod),
    Addon(AddonPeriod),
}

/// The months from that of the first app to the one after the present, oldest first; none without an app.
pub fn months(connection: &Connection, scope: &BillingScope, now: Timestamp) -> Result<Vec<Month>, Error> {
    let Some(first) = formation_periods::first_app_at(connection, scope)? else { return Ok(Vec::new()) };
    let last = Month::of(now).next();
    let after = |month: &Month| Some(month.next()).filter(|next| next <= &last && next != month);
    Ok(std::iter::successors(Some(Month::of(first)).filter(|first| *first <= last), after).collect())
}

/// The invoice of a month; not found when nothing ran in it.
pub fn find(
    connection: &Connection,
    catalogue: &Catalogue,
    scope: &BillingScope,
    text: &str,
    now: Timestamp,
) -> Result<Invoice, Error> {
    let none = || Error::NotFound(format!("There is no invoice {}.", shown(text)));
    let month = Month::parse(text).ok_or_else(none)?;
    let until = month.end().min(now);
    if until < month.start() {
        return Err(none());
    }
    let time = (month.start(), until);
    let dynos = formation_periods::list(connection, scope, time)?;
    let addons = addon_periods::list(connection, scope, time)?;
    let of_dynos = dynos.into_iter().map(|period| Item::of_dynos(period, catalogue, (month, now)));
    let items: Vec<Item> =
        of_dynos.chain(addons.into_iter().map(|period| Item::of_addon(period, (month, now)))).collect();
    if items.is_empty() {
        return Err(none());
    }
    Ok(Invoice { month, period_end: until, paid: month < Month::of(now), items })
}

impl Item {
    /// A size that the catalogue offers no more costs nothing.
    fn of_dynos(period: FormationPeriod, catalogue: &Catalogue, (month, now): (Month, Timestamp)) -> Self {
        let price = catalogue.size(period.size.as_str()).map_or(0, |size| size.price).saturating_mul(100);
        let there = (period.started_at, period.ended_at.unwrap_or(now));
        let billed = prorated(month, there, u64::from(price), period.quantity);
        Self { what: Billed::Dynos(period), price, billed }
    }

    fn of_addon(period: AddonPeriod, (month, now): (Month, Timestamp)) -> Self {
        let there = (period.started_at, period.ended_at.unwrap_or(now));
        let billed = prorated(month, there, u64::from(period.price), 1);
        Self { price: period.price, what: Billed::Addon(period), billed }
    }
}
