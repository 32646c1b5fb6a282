"""The table of 38 bad inputs, and where each is tested; this fails when a test that a row relies on is gone."""

import re
from pathlib import Path

import pytest
from hostile_files import REFUSED

FILES_READER = "nfn_reader_hostile::every_hostile_file_is_refused_with_the_right_error"
FILES_API = "hostile_api::a_hostile_file_gets_the_right_error"
EVERY_ENDPOINT = "hostile_api::every_endpoint_refuses_hostile_files_and_the_app_survives"
BATCH = "hostile_api::a_batch_of_hostile_files_is_processed_to_the_end"
GENERATED = (FILES_READER, FILES_API, EVERY_ENDPOINT, BATCH)

ROWS: dict[int, tuple[str, ...]] = {
    1: ("app_browser::the_page_opens_with_a_network_shown_and_fits_the_window_in_the_dark",
        "hostile_requests::wrong_arguments_are_answered_in_words"),
    2: GENERATED,
    3: (*GENERATED, "app_browser::a_bad_file_gives_a_sentence_in_place_of_the_old_answer"),
    4: (*GENERATED, "nfn_reader_hostile::every_truncation_is_refused"),
    5: ("nfn_reader_hostile::a_file_at_the_size_limit_is_read_within_three_times_its_size",
        "hostile_api::a_file_at_the_limit_is_answered_and_one_byte_more_is_refused",
        "hostile_browser::a_file_that_is_too_large_is_refused_with_the_limit_and_the_next_one_is_read"),
    6: ("nfn_reader_checkpoints::content_decides_and_a_misleading_file_name_is_mentioned",
        "hostile_api::content_decides_whatever_the_name"),
    7: (*GENERATED, "nfn_reader_pickles::a_payload_is_refused_and_not_run",
        "nfn_reader_pickles::every_way_to_call_is_refused", "hostile_requests::a_hostile_file_through_a_tool"),
    8: (*GENERATED, "nfn_reader_pickles::endless_pickles_are_refused_quickly",
        "nfn_reader_limits::the_worst_files_are_read_or_refused_within_the_limits"),
    9: (*GENERATED, "nfn_reader_archives::a_zip_bomb_is_refused_from_its_directory"),
    10: (*GENERATED, "nfn_reader_archives::members_in_odd_places_are_refused"),
    11: (*GENERATED, "nfn_reader_archives::polyglots_are_refused"),
    12: (*GENERATED, "nfn_reader_tensors::a_storage_that_is_not_as_long_as_declared_is_refused"),
    13: (*GENERATED, "nfn_reader_tensors::a_real_expanded_tensor_is_refused"),
    14: (*GENERATED, "nfn_reader_tensors::tensors_that_are_not_dense_floats_are_refused_by_name"),
    15: (*GENERATED, "nfn_reader::other_float_types_are_cast_and_said_so", "hostile_api::other_floats_are_read"),
    16: (*GENERATED, "nfn_reader::odd_values_are_read_as_they_are",
         "hostile_api::odd_values_give_finite_answers_that_are_not_believed_or_a_sentence",
         "hostile_api::a_batch_says_of_huge_weights_that_they_give_no_number"),
    17: (*GENERATED, "nfn_reader_safetensors::wrong_header_lengths_are_refused"),
    18: (*GENERATED, "nfn_reader_safetensors::too_many_tensors_are_refused"),
    19: (*GENERATED, "nfn_reader_safetensors::bad_headers_are_refused"),
    20: GENERATED,
    21: (*GENERATED, "nfn_reader::odd_tensor_names_are_treated_as_text", "app_browser::a_hostile_name_is_only_text",
         "app_tickets_browser::a_trained_upload_with_hostile_names_is_recognised_and_shown",
         "app_inr_html::text_from_a_file_is_escaped"),
    22: (*GENERATED, "nfn_reader_hostile::exported_programs_are_named_with_advice"),
    23: (*GENERATED, "nfn_reader_checkpoints::wrapped_checkpoints_are_unwrapped",
         "nfn_reader_checkpoints::a_training_checkpoint_with_optimizer_state_is_read"),
    24: (*GENERATED, "nfn_reader_unsupported::unsupported_structures_say_what_is_supported_found_and_where",
         "nfn_classifiers::unreadable_networks_are_named_with_what_would_be_needed"),
    25: (*GENERATED, "hostile_api::odd_sirens_are_answered"),
    26: ("nfn_predictors::untrained_and_scrambled_sirens_are_out_of_distribution",
         "app_actions::noise_is_out_of_distribution", "app_generalization_browser::noise_gets_no_reliable_number",
         "hostile_api::odd_sirens_are_answered"),
    27: ("nfn_predictors::the_shipped_classifier_is_invariant_to_permutations_sign_flips_and_conventions",
         "app_generalization::a_permuted_file_gets_the_same_prediction",
         "app_tickets::a_permuted_copy_gets_the_same_mask_permuted"),
    28: ("nfn_reader::the_file_name_does_not_matter", "hostile_api::odd_file_names_are_treated_as_text",
         "hostile_browser::a_file_name_is_escaped"),
    29: ("hostile_visitors::visitors_at_once_get_their_own_answers_while_one_sends_something_huge",
         "hostile_visitors::leaving_visitors_free_their_place_in_the_queue",
         "hostile_visitors::an_upload_that_is_cut_leaves_no_more_than_an_hour",
         "hostile_browser::repeated_clicks_and_a_closed_tab_are_harmless",
         "app_usable_browser::a_batch_shows_its_progress_and_can_be_stopped"),
    30: ("hostile_requests::wrong_arguments_are_answered_in_words",
         "hostile_requests::requests_that_are_none_are_refused",
         "hostile_requests::too_few_and_too_many_arguments_do_no_harm",
         "hostile_requests::unknown_endpoints_are_not_there"),
    31: ("hostile_requests::files_of_the_server_are_not_read", "hostile_requests::nothing_is_fetched_from_an_address",
         "hostile_requests::no_content_type_leads_around_the_guard", "hostile_requests::no_file_but_uploads_comes_back",
         "hostile_requests::the_pages_own_handlers_take_no_file_of_the_server",
         "hostile_requests::tools_take_data_uris_and_nothing_else", "app_serving::files_by_url_are_refused"),
    32: ("zoo_hub_hostile::typed_paths_and_urls_are_refused",
         "zoo_hub_hostile::hub_urls_are_read_as_ids",
         "zoo_hub_hostile::open_zoo_refuses_to_guess_between_a_folder_and_the_hub"),
    33: ("zoo_hub_failures::opening_fails_in_one_sentence_within_seconds", "zoo_hub_failures::what_is_missing_is_named",
         "zoo_hub_hostile::sizes_are_refused_before_anything_is_fetched",
         "zoo_hub_failures::sentences_tell_failures_apart"),
    34: ("zoo_hub_hostile::typed_paths_and_urls_are_refused", "zoo_hub_failures::what_is_missing_is_named",
         "zoo_hub::a_zoo_on_the_hub_is_the_zoo_that_was_pushed"),
    35: ("zoo_hub_failures::opening_fails_in_one_sentence_within_seconds",
         "zoo_hub_failures::byte_ranges_fail_in_one_sentence_too",
         "app_zoo::a_failing_hub_gives_a_clear_error", "app_zoo_browser::a_zoo_of_the_hub_and_its_failures"),
    36: ("app_zoo::a_hostile_link_is_ignored_and_reported",
         "app_zoo_browser::a_hostile_link_shows_the_zoo_to_browse_and_to_open_in_a_tab",
         "hostile_browser::an_address_made_by_hand_opens_the_page_and_runs_nothing"),
    37: ("zoo_hub_cache::a_full_disk_is_reported", "zoo_hub_cache::a_disk_that_fills_during_a_download_is_reported",
         "zoo_hub_failures::the_hub_down_and_the_client_offline", "app_zoo::a_failing_configured_zoo_is_reported",
         "space::the_app_starts_as_a_space", "space::without_zero_gpu_a_function_stays_itself"),
    38: ("hostile_visitors::the_same_file_a_hundred_times_is_one_file",
         "hostile_visitors::eighty_files_leave_memory_and_disk_as_they_were"),
}  # fmt: skip
"""By row of the table, its tests as `file::function`, without the `test_` of either."""


def functions(name: str) -> set[str]:
    """The functions of a file of tests."""
    path = Path(__file__).with_name(f"test_{name}.py")
    return set(re.findall(r"^def (\w+)", path.read_text(), re.MULTILINE))


def test_all_rows_are_there():
    assert list(ROWS) == list(range(1, 39))


@pytest.mark.parametrize("row", ROWS)
def test_the_tests_of_a_row_are_there(row):
    for test in ROWS[row]:
        name, _, function = test.partition("::")
        assert f"test_{function}" in functions(name), test


@pytest.mark.parametrize("row", [row for row, tests in ROWS.items() if FILES_READER in tests])
def test_the_files_of_a_row_are_made(row):
    assert row in {hostile.row for hostile in REFUSED.values()}
