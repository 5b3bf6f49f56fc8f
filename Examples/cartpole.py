"""Steers a cart so that the pole on it stays upright, with a network whose units are all -1 or +1.

    python3 Examples/cartpole.py start start.safetensors
    rso search --start start.safetensors --command 'python3 Examples/cartpole.py judge' --cycles 12 --run runs/cartpole
    python3 Examples/cartpole.py steps runs/cartpole/best.safetensors

The equations are those of Barto, Sutton and Anderson, Neuronlike adaptive elements that can solve difficult learning
control problems, IEEE Transactions on Systems, Man, and Cybernetics 13 (1983), appendix, with their constants, and
their steps of 0.02 s by Euler's method. An episode ends with the pole 12 degrees from the vertical, the cart 2.4 m from
the middle, or after 500 steps. It begins with every number of the state within 0.05 of 0, as in Gymnasium's CartPole-v1;
the search judges by episodes that begin within 0.1.
"""

import sys

import numpy
import search

GRAVITY, CART, POLE, HALF_LENGTH, FORCE = 9.8, 1.0, 0.1, 0.5, 10.0
CART_FRICTION, POLE_FRICTION = 0.0005, 0.000002
STEP, STEPS = 0.02, 500
UNITS = 6
# The typical size of x, its speed, the angle and its speed, so that weights of about 1 matter for each.
SCALE = numpy.array([[1.0], [1.0], [0.1], [1.0]])


def initial():
    """The tensors to begin with: small random weights."""
    draw = numpy.random.default_rng(0).standard_normal
    return {"hidden.weight": 0.5 * draw((UNITS, 4)), "hidden.bias": 0.1 * draw(UNITS), "out.weight": 0.5 * draw(UNITS)}


def steps(network, episodes, seed, width):
    """The number of steps that each candidate keeps the pole up in each episode, [candidates, episodes]."""
    hidden, bias, out = (network[name] for name in ("hidden.weight", "hidden.bias", "out.weight"))
    start = numpy.random.default_rng(seed).uniform(-width, width, (4, episodes))
    # The same starts for all candidates: [4, candidates, episodes].
    x, speed, angle, turn = numpy.repeat(start[:, None], len(out), axis=1)
    alive = numpy.ones(x.shape, bool)
    count = numpy.zeros(x.shape)
    mass = CART + POLE
    for _ in range(STEPS):
        state = numpy.stack([x, speed, angle, turn], axis=1) / SCALE
        units = numpy.where(hidden @ state + bias[:, :, None] >= 0, 1.0, -1.0)
        force = numpy.where((out[:, None] @ units)[:, 0] >= 0, FORCE, -FORCE)
        sine, cosine = numpy.sin(angle), numpy.cos(angle)
        push = force + POLE * HALF_LENGTH * turn**2 * sine - CART_FRICTION * numpy.sign(speed)
        turning = (GRAVITY * sine - cosine * push / mass - POLE_FRICTION * turn / (POLE * HALF_LENGTH)) / (
            HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass)
        )
        moving = (push - POLE * HALF_LENGTH * turning * cosine) / mass
        x, speed = x + STEP * speed, speed + STEP * moving
        angle, turn = angle + STEP * turn, turn + STEP * turning
        alive &= (abs(x) <= 2.4) & (abs(angle) <= numpy.radians(12))
        if not alive.any():
            break
        count += alive
    return count


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start", path]:
            search.write(path, initial())
        case ["judge"]:
            # More episodes for an evaluation, which chooses the best.
            search.serve(
                initial(), lambda network, seed: 1 - steps(network, 8 if seed else 50, seed, 0.1).mean(1) / STEPS
            )
        case ["steps", path]:
            network = {name: values[None] for name, values in search.read(path).items()}
            found = steps(network, 100, 12345, 0.05)
            print(f"steps in 100 other episodes: mean {found.mean():.1f}, least {found.min():.0f} of {STEPS}")
        case _:
            sys.exit(__doc__)
