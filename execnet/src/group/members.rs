//! Who is in a group, who is about to be, and who goes through whom.

use std::collections::{BTreeMap, HashMap};

use execnet_xspec::XSpec;

use crate::{Gateway, GatewayError};

#[derive(Debug, Default)]
pub(super) struct Members {
    /// In the order in which their ids were given, which is that of their specifications.
    pub(super) gateways: BTreeMap<u64, Gateway>,
    pub(super) next_place: u64,
    /// Those that are being started, by their ids.
    pub(super) starting: HashMap<String, Start>,
    next_number: usize,
}

/// A gateway that is not in the group yet.
#[derive(Debug)]
pub(super) struct Start {
    /// The id of the gateway that it goes through.
    via: Option<String>,
    /// The gateway, when it has started: others may go through it.
    pub(super) gateway: Option<Gateway>,
}

impl Members {
    pub(super) fn is_starting(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.starting.contains_key(id))
    }

    /// The gateway with this id, or `None` while it is being started.
    pub(super) fn through(
        &self,
        spec: &XSpec,
        id: &str,
        waited: bool,
    ) -> Result<Option<Gateway>, GatewayError> {
        if let Some(gateway) = self.gateways.values().find(|gateway| gateway.id() == id) {
            return Ok(Some(gateway.clone()));
        }
        let spec = || spec.to_string();
        if let Some(Start { gateway: Some(gateway), .. }) = self.starting.get(id) {
            return Ok(Some(gateway.clone()));
        }
        if !self.starting.contains_key(id) {
            if waited {
                return Err(GatewayError::ViaNotStarted { spec: spec(), id: id.to_owned() });
            }
            let known = self.gateways.values().map(|gateway| gateway.id().to_owned()).collect();
            return Err(GatewayError::NoSuchGateway { spec: spec(), id: id.to_owned(), known });
        }
        // Those that wait for each other would do so for ever.
        let mut chain = vec![id.to_owned()];
        while let Some(start) = chain.last().and_then(|id| self.starting.get(id))
            && let Some(next) = &start.via
        {
            if chain.contains(next) {
                chain.push(next.clone());
                return Err(GatewayError::Circular { spec: spec(), chain });
            }
            chain.push(next.clone());
        }
        Ok(None)
    }

    pub(super) fn reserve(&mut self, spec: &XSpec) -> Result<String, GatewayError> {
        let taken = |id: &str| {
            self.starting.contains_key(id)
                || self.gateways.values().any(|gateway| gateway.id() == id)
        };
        let id = match spec.id() {
            Some(id) if taken(id) => return Err(GatewayError::DuplicateId(id.to_owned())),
            Some(id) => id.to_owned(),
            None => {
                let free = (self.next_number..).find(|number| !taken(&format!("gw{number}")));
                let number = free.unwrap_or(self.next_number);
                self.next_number = number + 1;
                format!("gw{number}")
            }
        };
        let start = Start { via: leads_through(spec).map(str::to_owned), gateway: None };
        self.starting.insert(id.clone(), start);
        Ok(id)
    }
}

/// The gateway without which one of this specification cannot be.
pub(super) fn leads_through(spec: &XSpec) -> Option<&str> {
    spec.via().or(spec.installvia())
}

/// The gateways, those that go through others before these.
pub(super) fn leaves_first(gateways: Vec<Gateway>) -> Vec<Vec<Gateway>> {
    let via: HashMap<_, _> = gateways
        .iter()
        .map(|gateway| (gateway.id().to_owned(), leads_through(gateway.spec()).map(str::to_owned)))
        .collect();
    let mut levels: BTreeMap<usize, Vec<Gateway>> = BTreeMap::new();
    for gateway in gateways {
        let mut depth = 0;
        let mut id = gateway.id();
        // One that has been replaced meanwhile could make it a ring.
        while let Some(Some(next)) = via.get(id)
            && depth < via.len()
        {
            depth += 1;
            id = next;
        }
        levels.entry(depth).or_default().push(gateway);
    }
    levels.into_values().rev().collect()
}
