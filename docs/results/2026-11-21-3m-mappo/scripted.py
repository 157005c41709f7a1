"""How often scripted teams win JaxMARL's 3m against its heuristic: 1,024 episodes each.

    pip install jaxmarl==0.2.0 && python scripted.py

Every policy knows positions and health of all units and shoots whenever it can; they differ in whom they shoot and in what they do
until then.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
import jax
import jax.numpy as jnp
import jaxmarl
from jaxmarl.environments.smax import map_name_to_scenario

env = jaxmarl.make("HeuristicEnemySMAX", scenario=map_name_to_scenario("3m"))
ALLIES, EPISODES, STEPS, STOP, FIRST_ATTACK = 3, 1024, 60, 4, 5
DIRECTIONS = jnp.array([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]])
FAR = 1e9


def walk(here, there, sign=1.0):
    return jnp.argmax(DIRECTIONS @ ((there - here) * sign))


def act(policy, state, available):
    units = state.state
    alive, health = units.unit_alive[:ALLIES], units.unit_health
    allies, enemies = units.unit_positions[:ALLIES], units.unit_positions[ALLIES:]
    foes = units.unit_alive[ALLIES:]
    distance = jnp.linalg.norm(allies[:, None] - enemies[None], axis=-1)
    distance = jnp.where(foes[None], distance, FAR)
    foe_health = jnp.where(foes, health[ALLIES:], FAR)
    can = jnp.stack([available[a] for a in env.agents])[:, FIRST_ATTACK:] > 0
    to_all = jnp.sum(jnp.where(alive[:, None], distance, 0.0), 0)
    common = jnp.argmin(foe_health + 0.01 * to_all)
    met = jnp.any(can & alive[:, None]) | (units.step > 14)
    actions = {}
    for i in range(ALLIES):
        weakest = jnp.argmin(jnp.where(can[i], foe_health + 0.01 * distance[i], FAR))
        nearest = jnp.argmin(jnp.where(can[i], distance[i], FAR))
        target = {"nearest": nearest, "weakest": weakest}.get(
            policy["target"], jnp.where(can[i][common], common, weakest)
        )
        approach = walk(allies[i], enemies[jnp.argmin(distance[i])])
        move = jnp.where(met, approach, STOP) if policy["wait"] else approach
        action = jnp.where(jnp.any(can[i]), FIRST_ATTACK + target, move)
        if policy["retreat"]:
            hurt = jnp.argmin(jnp.where(alive, health[:ALLIES], FAR)) == i
            loading = units.unit_weapon_cooldowns[i] > 0.25
            away = walk(allies[i], enemies[jnp.argmin(distance[i])], -1.0)
            leave = hurt & (health[i] < 15) & (alive.sum() > 1) & loading
            action = jnp.where(leave, away, action)
        actions[f"ally_{i}"] = jnp.where(alive[i], action, STOP)
    return actions


def wins(policy):
    def episode(key):
        first, key = jax.random.split(key)
        _, state = env.reset(first)

        def step(carry, key):
            state, done, won = carry
            actions = act(policy, state, env.get_avail_actions(state))
            _, after, reward, ended, _ = env.step_env(key, state, actions)
            # The bonus of a victory is 1, more than the damage of one step.
            won = jnp.where(done, won, reward["ally_0"] >= 0.99)
            state = jax.tree.map(lambda a, b: jnp.where(done, a, b), state, after)
            return (state, done | ended["__all__"], won), None

        (_, _, won), _ = jax.lax.scan(step, (state, False, False), jax.random.split(key, STEPS))
        return won

    return jax.jit(jax.vmap(episode))(jax.random.split(jax.random.PRNGKey(0), EPISODES)).mean()


for target, wait, retreat in [
    ("nearest", False, False),
    ("weakest", False, False),
    ("common", False, False),
    ("weakest", True, False),
    ("common", True, False),
    ("weakest", True, True),
]:
    policy = {"target": target, "wait": wait, "retreat": retreat}
    print(policy, f"{100 * wins(policy):.1f} %", flush=True)
