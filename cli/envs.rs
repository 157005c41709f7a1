use std::process::ExitCode;

use clap::Args;
use merit_sim::env::ActionSpace;
use merit_sim::registry::{self, EnvOptions};
use serde::Serialize;

use crate::output::{print, print_json, table};

/// List the environments and their shapes
#[derive(Args)]
pub struct Envs {
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    env: String,
    agents: usize,
    obs: usize,
    state: usize,
    /// Absent where actions are continuous.
    actions: Option<usize>,
    /// Numbers per agent of a continuous action.
    action_size: Option<usize>,
    max_steps: usize,
    reference: &'static str,
}

impl Envs {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let mut rows = Vec::new();
        for name in registry::names() {
            let spec = registry::spec(&name, &EnvOptions::new())?;
            let (actions, action_size) = match spec.actions {
                ActionSpace::Discrete(n) => (Some(n), None),
                ActionSpace::Continuous(k) => (None, Some(k)),
            };
            let row = Row {
                env: spec.name,
                agents: spec.agents,
                obs: spec.obs,
                state: spec.state,
                actions,
                action_size,
                max_steps: spec.max_steps,
                reference: spec.reference,
            };
            if self.json {
                print_json(&row)?;
            } else {
                let size = row.action_size.map(|k| format!("{k} floats"));
                let actions = row
                    .actions
                    .map(|n| n.to_string())
                    .or(size)
                    .unwrap_or_default();
                let [agents, obs, state, limit] =
                    [row.agents, row.obs, row.state, row.max_steps].map(|n| n.to_string());
                let reference = row.reference.to_owned();
                rows.push([row.env, agents, obs, state, actions, limit, reference]);
            }
        }
        if !self.json {
            let head = [
                "environment",
                "agents",
                "obs",
                "state",
                "actions",
                "max_steps",
                "reference",
            ];
            print(&table(head, &rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
