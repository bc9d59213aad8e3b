"""Tests with so many cases that most of the cases are marked slow.

A number n means that about one case in n is not. A checksum of the case's name decides, so the
choice is the same in every run and mixes the values of all parameters. Tests with a single case per
class of the library do not belong here, because some classes would not be tested.
"""

EVERY = {
    "test_accumulate.py::test_updates_are_those_of_larger_batches": 2,
    "test_by_hand.py::test_arguments_that_do_not_fit_are_refused": 4,
    "test_cli.py::test_any_value_of_any_option_works_or_is_refused_in_one_line": 2,
    "test_compiled.py::test_losses": 2,
    "test_cuda_kernels.py::test_a_kernel_does_what_its_definition_says": 2,
    "test_estimators_parity.py::test_partial_fit_is_the_same": 2,
    "test_estimators_parity.py::test_the_weights_are_scikit_learns_with_settings": 2,
    "test_kernels.py::test_fast_is_the_definition": 2,
    "test_layers.py::test_batches_of_another_shape_are_refused_by_every_layer": 3,
    "test_memory.py::test_after_the_first_step_nothing_large_is_allocated": 2,
    "test_rules.py::test_a_training_that_was_broken_off_is_resumed_bit_for_bit": 2,
    "test_thawing.py::test_steps_are_those_of_pytorch": 2,
    "test_trajectories.py::test_fifty_steps_agree": 3,
    "test_weight_average.py::test_the_network_gets_the_average": 2,
}
