"""What is trained: each task is a module of pure functions for one replica.

A task's module has

- ``init(config, key)``: the state before the first step, a pytree with the field ``step``;
- ``step(config, state, images)``: one update on this replica's images, uint8 [share, h, w, c]. It returns
  the next state and a dictionary of scalars, and runs inside a mapped axis named `replica.AXIS`. It takes the
  images in microbatches where ``train.microbatch`` says so (`replica.accumulated`);
- ``samples(config, dataset)``: a function of the state that makes the pictures by which a training is
  watched, uint8 [n, h, w, c], and the number of columns to lay them out in;
- ``describe(config, metrics)``: a step's scalars in a few words;
- where its steps read arrays that none of them changes, such as another network's weights,
  ``constants(config)``: a tuple of them, which ``step`` gets as further arguments.
"""
