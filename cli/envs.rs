use std::process::ExitCode;

use clap::Args;
use merit_sim::env::{ActionSpace, EnvSpec};
use merit_sim::registry::{self, EnvOptions};
use serde::Serialize;

use crate::output::{print, print_json, table};

/// List the environments and their shapes, or tell all about one
#[derive(Args)]
pub struct Envs {
    /// One environment, or a family of them: smax/3m, smax
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    env: String,
    agents: usize,
    /// Features of an agent's observation, and of the state that a central critic may see.
    obs: usize,
    state: usize,
    /// Absent where actions are continuous.
    actions: Option<usize>,
    /// Numbers per agent of a continuous action.
    action_size: Option<usize>,
    /// `[A, D]`
    obs_shape: [usize; 2],
    /// `[A]`, or `[A, K]` where actions are continuous.
    action_shape: Vec<usize>,
    /// Of the discrete actions in their order, or of a continuous action's numbers.
    action_names: Vec<String>,
    max_steps: usize,
    reference: &'static str,
}

impl From<EnvSpec> for Row {
    fn from(spec: EnvSpec) -> Self {
        let (actions, action_size) = match spec.actions {
            ActionSpace::Discrete(n) => (Some(n), None),
            ActionSpace::Continuous(k) => (None, Some(k)),
        };
        Self {
            env: spec.name,
            agents: spec.agents,
            obs: spec.obs,
            state: spec.state,
            actions,
            action_size,
            obs_shape: [spec.agents, spec.obs],
            action_shape: [spec.agents].into_iter().chain(action_size).collect(),
            action_names: spec.action_names,
            max_steps: spec.max_steps,
            reference: spec.reference,
        }
    }
}

impl Row {
    fn actions(&self) -> String {
        let size = self.action_size.map(|k| format!("{k} floats"));
        let count = self.actions.map(|n| n.to_string());
        count.or(size).unwrap_or_default()
    }

    fn cells(self) -> [String; 7] {
        let actions = self.actions();
        let [agents, obs, state, limit] =
            [self.agents, self.obs, self.state, self.max_steps].map(|n| n.to_string());
        let reference = self.reference.to_owned();
        [self.env, agents, obs, state, actions, limit, reference]
    }

    fn detail(&self) -> String {
        let shape = |shape: &[usize]| {
            let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
            sizes.join(" x ")
        };
        let kind = match self.action_size {
            None => format!("one of {} each", self.actions()),
            Some(_) => format!("{} each", self.actions()),
        };
        let names = self.action_names.iter().enumerate();
        let names: Vec<_> = names.map(|(i, name)| format!("{i} {name}")).collect();
        format!(
            "\
environment  {}
reference    {}
agents       {}
observation  {}
state        {}
action       {} ({kind})
actions      {}
step limit   {}
",
            self.env,
            self.reference,
            self.agents,
            shape(&self.obs_shape),
            self.state,
            shape(&self.action_shape),
            names.join(", "),
            self.max_steps,
        )
    }
}

impl Envs {
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        let names = registry::names();
        let row = |name: &String| -> anyhow::Result<Row> {
            Ok(registry::spec(name, &EnvOptions::new())?.into())
        };
        let listed: Vec<String> = match &self.name {
            Some(name) => {
                let family = format!("{}/", name.trim_end_matches('/'));
                let listed = names.into_iter().filter(|n| n.starts_with(&family));
                let listed: Vec<_> = listed.collect();
                if listed.is_empty() {
                    // Also names that are not listed, if there is such an environment.
                    let row = row(name)?;
                    if self.json {
                        print_json(&row)?;
                    } else {
                        print(&row.detail())?;
                    }
                    return Ok(ExitCode::SUCCESS);
                }
                listed
            }
            None => names,
        };
        let rows = listed
            .iter()
            .map(row)
            .collect::<anyhow::Result<Vec<Row>>>()?;
        if self.json {
            for row in &rows {
                print_json(row)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let head = [
            "environment",
            "agents",
            "obs",
            "state",
            "actions",
            "max_steps",
            "reference",
        ];
        let cells: Vec<_> = rows.into_iter().map(Row::cells).collect();
        print(&table(head, &cells))?;
        Ok(ExitCode::SUCCESS)
    }
}
