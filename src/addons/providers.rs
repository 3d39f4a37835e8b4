//! Which providers there are, and what they offer together.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{Provider, Securekey};
use crate::model::addon_service::{AddonOffer, AddonService, BrokerName, ProviderName};
use crate::model::catalogue::Catalogue;
use crate::service::addons::Shop;

/// Those that this daemon has.
#[derive(Debug, Clone)]
pub struct Providers {
    pub securekey: Arc<dyn Provider>,
    /// `None` where nothing is made on the engine.
    pub engine: Option<Arc<dyn Provider>>,
    pub brokers: BTreeMap<BrokerName, Arc<dyn Provider>>,
}

/// What apps can be given at present. Clones share it.
#[derive(Debug, Clone)]
pub struct Offer {
    catalogue: Arc<ArcSwap<Catalogue>>,
    /// By the brokers' names, so that the order is always the same.
    brokers: Arc<ArcSwap<BTreeMap<BrokerName, Vec<AddonService>>>>,
}

impl Providers {
    /// Only the secure keys.
    pub fn without_brokers() -> Self {
        Self { securekey: Arc::new(Securekey), engine: None, brokers: BTreeMap::new() }
    }

    /// The provider of that name.
    pub fn of(&self, name: &ProviderName) -> Option<&Arc<dyn Provider>> {
        match name {
            ProviderName::Securekey => Some(&self.securekey),
            ProviderName::Engine => self.engine.as_ref(),
            ProviderName::Broker(broker) => self.brokers.get(broker),
        }
    }
}

impl Offer {
    /// The operator's own services; those of brokers join as their catalogues are fetched.
    pub fn new(catalogue: Arc<ArcSwap<Catalogue>>) -> Self {
        Self { catalogue, brokers: Arc::default() }
    }

    /// Everything that is offered now. Where two services have one name, the operator's own comes first.
    pub fn current(&self) -> AddonOffer {
        let (catalogue, brokers) = (self.catalogue.load(), self.brokers.load());
        let all = catalogue.addon_services.iter().chain(brokers.values().flatten()).cloned();
        AddonOffer::of(all).0
    }

    /// The same, and where it is offered.
    pub fn shop(&self) -> Shop {
        Shop { offer: self.current(), region: self.catalogue.load().region.name.clone() }
    }

    /// Takes over what a broker offers; its services whose names are taken are not offered, and are returned.
    pub fn set(&self, broker: &BrokerName, services: &[AddonService]) -> Vec<AddonService> {
        self.brokers.rcu(|before| {
            let mut all = BTreeMap::clone(before);
            all.insert(broker.clone(), services.to_vec());
            all
        });
        let (catalogue, brokers) = (self.catalogue.load(), self.brokers.load());
        let all = catalogue.addon_services.iter().chain(brokers.values().flatten()).cloned();
        let own = |service: &AddonService| service.provider == ProviderName::Broker(broker.clone());
        AddonOffer::of(all).1.into_iter().filter(own).collect()
    }
}
