"""The cases that real clients, senders, feeds and targets brought: for each row of the list, the tests that hold it.

A row is a letter with a number, such as A5. `test_cases.py` checks that each test exists and that no row is missing.
"""

from collections.abc import Mapping, Sequence

_A = "tests/api/test_documents.py::"
_HTTP = "tests/api/test_methods.py::"
_STACKAI = "tests/api/stackai/test_contract.py::"
_V1 = "tests/api/v1/test_contract.py::"
_SAMPLES = "tests/api/v1/test_samples.py::"
_EGRESS = "tests/platform/test_egress.py::"
_DELIVERIES = "tests/api/v1/test_deliveries.py::"
_WATCHDOG = "tests/services/explain/test_stall_watchdog.py::"
_FORMATS = "tests/targets/test_formats.py::"
_AGENT = "tests/targets/test_agent.py::"
_REMAINDERS = "tests/targets/test_remainders.py::"
_RECEIVERS = "tests/api/test_receivers.py::"
_PAUSES = "tests/api/v1/test_pauses.py::"
_REPLAYS = "tests/services/delivery/test_replays.py::"
_WEBHOOK = "tests/providers/webhook/test_webhook.py::"
_REQUESTS = "tests/services/ingest/test_requests.py::"
_PEERS = "tests/kit/test_peers.py::"
_TOLD = "tests/services/alerts/test_operational_watch.py::"

_FEEDS = (
    "test_a_feed_is_read_as_it_is_meant",
    "test_entries_of_one_id_fire_and_the_outcome_says_how_they_are_told_apart",
    "test_keys_of_a_former_spelling_do_not_make_entries_new",
    "test_a_feed_that_is_not_given_is_an_ordinary_failure",
    "test_a_private_feed_gets_its_credentials",
    "test_a_feed_that_costs_too_much_to_read_ends_its_own_poll",
)
_STOPS = "tests/e2e/test_stops.py::"

ROWS = (
    *(f"A{number}" for number in range(1, 20)),
    *(f"B{number}" for number in range(1, 11)),
    *(f"C{number}" for number in range(1, 11)),
    *("D", "E", "F", "G", "H10"),
    *("S17", "S29"),  # of the list of silences
)

TESTS: Mapping[str, Sequence[str]] = {
    "A1": (_A + "test_a_document_is_valid", _A + "test_every_refusal_of_a_document_has_a_schema", "tests/e2e/test_clients.py::test_a_client_of_openapi_typescript_runs_the_life_of_a_trigger", "tests/e2e/test_clients.py::test_a_client_of_hey_api_runs_the_life_of_a_trigger", "tests/e2e/test_clients.py::test_a_client_of_openapi_python_client_runs_the_life_of_a_trigger"),
    "A2": (_SAMPLES + "test_samples_of_code_that_fails_are_502_with_the_sentence",),
    "A3": ("tests/services/setup/test_trigger_changes.py::test_a_polling_trigger_goes_on_from_its_cursor_with_the_new_configuration", "tests/services/setup/test_trigger_changes.py::test_a_schedule_fires_by_its_new_expression", "tests/services/setup/test_trigger_changes.py::test_a_generic_webhook_keeps_its_address_and_its_secret", "tests/services/setup/test_trigger_changes.py::test_a_webhook_at_a_provider_is_made_anew_only_where_that_is_necessary", "tests/services/setup/test_trigger_changes.py::test_a_trigger_of_an_app_listens_to_the_accounts_of_its_new_connection", "tests/api/v1/test_trigger_changes.py::test_a_trigger_is_changed_and_its_name_is_shown"),
    "A4": ("tests/services/polling/test_user_triggers.py::test_a_renamed_field_keeps_its_value", "tests/services/polling/test_user_triggers.py::test_a_field_that_no_longer_fits_is_named"),
    "A5": (
        _STACKAI + "test_an_unknown_key_is_refused_and_named",
        _STACKAI + "test_the_configuration_has_either_of_its_two_names",
    ),
    "A6": (
        _V1 + "test_logging_in_says_the_same_of_a_wrong_password_and_of_nobody",
        _V1 + "test_a_form_that_gives_no_token_says_why_as_oauth_does",
        _V1 + "test_no_cache_keeps_a_token",
    ),
    "A7": ("tests/services/polling/test_user_triggers.py::test_without_an_id_an_item_that_was_gone_is_new_again", "tests/services/polling/test_user_triggers.py::test_what_an_earlier_version_stored_without_an_id_is_no_event_again", "tests/services/polling/test_user_triggers.py::test_a_poll_that_is_made_again_gives_items_without_an_id_the_same_keys", "tests/services/polling/test_dry_run.py::test_a_dry_run_warns_of_items_without_an_id"),
    "A8": ("tests/services/polling/test_user_triggers.py::test_an_id_that_is_no_exact_number_is_refused_and_told", "tests/services/polling/test_user_triggers.py::test_a_poll_whose_items_are_all_refused_fails", "tests/services/polling/test_user_triggers.py::test_the_way_out_that_is_told_works"),
    "A9": ("tests/services/polling/test_user_triggers.py::test_more_events_than_fit_are_taken_in_parts_and_none_is_lost", "tests/services/polling/test_user_triggers.py::test_events_that_are_too_large_together_are_taken_in_parts", "tests/services/polling/test_user_triggers.py::test_more_items_without_an_id_than_fit_are_refused_with_a_sentence"),
    "A10": ("tests/sandbox/prelude/test_node.py::test_a_date_is_written_as_in_node_or_refused", "tests/sandbox/prelude/test_node.py::test_a_number_is_written_as_in_node_or_refused", "tests/sandbox/prelude/test_node.py::test_texts_are_in_the_order_of_node_or_refused", "tests/sandbox/prelude/test_node.py::test_what_is_not_known_is_refused_by_name"),
    "A11": ("tests/sandbox/prelude/test_node.py::test_a_buffer_is_as_in_node",),
    "A12": ("tests/services/polling/test_user_triggers.py::test_a_trigger_whose_integration_changes_its_authentication_is_told",),
    "A13": (
        _A + "test_every_time_in_a_document_says_that_it_is_one",
        _A + "test_a_document_leads_back_to_its_own_api",
        "tests/api/odeus/test_document.py::test_every_published_route_is_documented_with_all_its_answers",
        _STACKAI + "test_the_schema_of_a_definition_takes_the_published_values",
    ),
    "A14": (_STACKAI + "test_what_an_api_key_makes_is_made_by_the_keys_owner",),
    "A15": (_SAMPLES + "test_samples_hide_secrets",),
    "A16": ("tests/services/polling/test_user_triggers.py::test_the_type_of_events_stays_when_an_integration_is_renamed", "tests/services/polling/test_user_triggers.py::test_integrations_have_types_of_their_own"),
    "A17": ("tests/services/polling/test_user_triggers.py::test_the_slug_of_a_deleted_trigger_is_never_given_again", "tests/domain/test_slug.py::test_latin_letters_without_accents_are_spelled_in_ascii"),
    "A18": ("tests/api/odeus/test_triggers.py::test_null_is_the_same_as_left_out",),
    "A19": (
        _HTTP + "test_head_is_answered_as_get_without_the_body",
        _HTTP + "test_a_wrong_method_is_told_all_the_right_ones",
        _HTTP + "test_a_slash_after_a_webhooks_address_changes_nothing",
        "tests/services/test_guessing.py::test_attempts_under_way_count_and_right_ones_do_not",
        "tests/services/test_guessing.py::test_strangers_do_not_lock_out_an_owner_who_comes_from_where_it_was_before",
        _STACKAI + "test_what_is_public_is_answered_whatever_the_credentials",
        _SAMPLES + "test_a_trigger_without_code_is_not_enabled_and_has_no_samples",
        _SAMPLES + "test_samples_without_the_connection_they_need_are_400",
        _STACKAI + "test_an_integration_is_a_provider_for_its_own_organisation",
    ),
    "C1": (
        _FORMATS + "test_every_format_is_signed_and_names_its_type",
        _RECEIVERS + "test_a_web_framework_reads_and_verifies_every_request",
        _V1 + "test_a_workflow_keeps_its_format_until_another_is_named",
    ),
    "C2": (
        _REMAINDERS + "test_an_odd_rest_is_told_and_is_no_failure",
        _AGENT + "test_what_a_mock_of_the_api_answers_is_read_and_never_asked_for_again",
        _AGENT + "test_what_another_mock_answers_is_read_and_never_asked_for_again",
    ),
    "C3": (
        _AGENT + "test_the_path_is_joined_before_the_query",
        _AGENT + "test_an_agent_gets_its_headers_and_credentials",
    ),
    "C4": (_V1 + "test_the_secrets_of_a_target_go_in_and_never_come_out",),
    "C5": (
        _EGRESS + "test_the_operator_is_told_why_an_address_can_not_be_reached_and_others_are_not",
        "tests/test_settings.py::test_networks_are_given_with_commas_or_as_json",
        "tests/test_settings.py::test_a_wrong_value_is_refused_in_a_sentence_on_its_setting",
        _DELIVERIES + "test_why_a_target_can_not_be_called_is_told_to_the_operators_organisation_alone",
    ),
    "C6": (
        _PAUSES + "test_everything_is_replayed_only_if_that_is_said",
        _PAUSES + "test_a_filter_without_a_status_means_dead_letters_and_a_preview_says_how_many",
    ),
    "C7": (
        _REPLAYS + "test_a_replay_of_what_is_still_retried_is_its_next_attempt",
        _REPLAYS + "test_what_is_retried_is_tried_again_now_and_not_sent_twice",
        _PAUSES + "test_a_delivery_is_retried_at_once_or_cancelled",
    ),
    "C8": (
        _WATCHDOG + "test_deliveries_that_fail_make_their_trigger_fail_until_one_arrives",
        _WATCHDOG + "test_requests_that_are_refused_make_their_trigger_fail_until_one_is_accepted",
        "tests/services/alerts/test_operational_watch.py::test_dead_letters_are_told_once_a_minute_with_their_number",
    ),
    "C9": (_EGRESS + "test_a_connection_that_ends_before_the_answer_is_replaced_once",),
    "C10": (
        "tests/platform/test_http1.py::test_an_odd_but_readable_answer_is_read_in_whatever_pieces_it_comes",
        _REMAINDERS + "test_what_was_odd_in_a_readable_answer_is_told",
    ),
    "D": (
        *("tests/providers/rss/test_rss.py::" + name for name in _FEEDS),
        _EGRESS + "test_a_limit_that_ends_a_call_is_named",
        _EGRESS + "test_the_service_names_itself_and_a_caller_may_name_another",
        "tests/test_settings.py::test_the_limits_of_feeds_are_settings",
        "tests/kit/test_http.py::test_without_credentials_none_can_be_refused",
        "tests/services/polling/test_user_triggers.py::test_code_is_told_which_limit_ended_its_fetch",
    ),
    "E": (
        "tests/domain/test_recurrence.py::test_a_rule_has_the_times_that_another_implementation_finds",
        "tests/domain/test_recurrence.py::test_a_rule_is_read_on_the_clocks_of_its_zone",
        "tests/domain/test_recurrence.py::test_an_interval_of_days_with_a_start_keeps_the_time_on_the_clock",
        "tests/domain/test_schedule.py::test_what_users_write_means_what_they_mean",
        "tests/domain/test_schedule.py::test_what_may_surprise_gets_a_note_with_the_next_times",
        "tests/domain/test_schedule.py::test_a_schedule_is_read_from_its_config",
        _STACKAI + "test_a_schedule_that_may_surprise_is_answered_with_a_note_and_its_next_times",
    ),
    "F": (_STOPS + "test_a_signal_to_the_whole_group_ends_what_is_under_way_without_a_complaint", _STOPS + "test_a_signal_to_each_process_but_the_database_is_no_cause_for_complaint", _STOPS + "test_a_stop_while_the_service_starts_ends_the_start_without_a_complaint", _V1 + "test_an_answer_is_not_handed_to_a_caller_with_other_rights", _V1 + "test_two_passwords_are_looked_at_at_a_time_whether_their_users_exist_or_not"),
    "G": ("tests/e2e/test_newcomer.py::test_every_printed_hint_works_as_it_is_printed", "tests/e2e/test_newcomer.py::test_the_commands_of_the_readme_lead_to_the_first_event_at_a_program_on_this_machine", "tests/api/test_pages.py::test_all_links_from_the_first_page_lead_somewhere_without_a_login", "tests/api/v1/test_requests.py::test_an_unknown_query_parameter_is_refused_by_its_name", "tests/api/v1/test_requests.py::test_an_api_key_that_has_expired_already_cannot_be_made", "tests/api/v1/test_requests.py::test_the_providers_say_what_a_connection_needs", "tests/test_settings_variables.py::test_a_misspelt_variable_is_told_with_the_one_that_was_meant", "tests/services/upkeep/test_erasures.py::test_nothing_of_a_deleted_organisation_is_left_and_nothing_else_is_touched", "tests/services/upkeep/test_erasures.py::test_every_table_is_reached_by_the_deletion_of_an_organisation", "tests/services/upkeep/test_erasures.py::test_a_deletion_goes_on_after_every_kill", "tests/api/v1/test_deletions.py::test_only_a_user_that_logged_in_deletes_an_organisation_and_only_by_its_name", "tests/api/v1/test_privacy.py::test_a_body_is_dropped_when_it_was_delivered_and_that_is_told", "tests/api/v1/test_privacy.py::test_what_is_redacted_is_neither_stored_nor_delivered", "tests/services/upkeep/test_kept_bodies.py::test_events_go_after_the_days_that_their_trigger_keeps_them", "tests/e2e/test_below_a_path.py::test_everything_leads_back_through_the_proxy", "tests/e2e/test_commands.py::test_every_command_has_a_test_and_prints_json", "tests/services/ingest/test_webhooks_page.py::test_an_example_does_what_the_page_says"),
    "H10": ("tests/services/upkeep/test_presence.py::test_with_the_embedded_database_everything_is_free_at_the_start_and_only_then", _STOPS + "test_what_a_killed_service_held_is_done_at_once_and_the_outage_is_told"),
    "B1": (_V1 + "test_method_query_and_headers_are_shown_with_the_event_and_reach_the_target", _WEBHOOK + "test_nothing_that_proves_or_opens_anything_stays_with_the_event", _WEBHOOK + "test_no_more_than_eight_kilobytes_of_a_request_stay_with_its_event"),
    "B2": (_WEBHOOK + "test_the_form_says_whatever_the_grammar_can", _WEBHOOK + "test_every_known_sender_can_be_chosen_by_its_name", _PEERS + "test_every_library_accepts_what_we_sign", _PEERS + "test_we_accept_what_the_libraries_sign_and_refuse_a_changed_byte", "tests/kit/test_verify.py::test_a_delivery_signed_by_independent_code_is_accepted"),
    "B3": (_WEBHOOK + "test_a_sender_that_signs_each_retry_anew_does_not_start_two_runs", _REQUESTS + "test_a_repeat_names_the_event_it_repeats_and_the_setting", _REQUESTS + "test_enabling_says_what_counts_as_a_repeat"),
    "B4": (_WEBHOOK + "test_a_form_is_an_object_and_its_fields_are_places", _WEBHOOK + "test_text_becomes_utf8", _WEBHOOK + "test_json_in_any_unicode_encoding_becomes_utf8", _WEBHOOK + "test_a_compressed_body_is_decompressed_after_the_check_on_the_bytes_that_came", "tests/targets/test_workflow.py::test_text_is_carried_as_text"),
    "B5": (_REQUESTS + "test_a_question_before_the_address_is_accepted_is_answered_and_recorded", _REQUESTS + "test_every_address_answers_whether_it_is_there", "tests/kit/test_handshake.py::test_a_known_handshake_is_answered_as_documented", "tests/api/test_webhooks.py::test_every_method_reaches_the_webhook", "tests/services/ingest/test_told_tokens.py::test_every_sender_that_tells_a_secret_is_heard"),
    "B6": (_V1 + "test_what_is_pasted_around_a_secret_is_no_part_of_it", _V1 + "test_a_secret_that_no_sender_could_send_is_422", _REQUESTS + "test_a_secret_that_never_could_match_is_refused_where_it_is_set"),
    "B7": ("tests/e2e/test_walk.py::test_the_printed_curl_makes_something_happen", "tests/e2e/test_newcomer.py::test_every_printed_hint_works_as_it_is_printed", _WEBHOOK + "test_json_that_curl_calls_a_form_is_json"),
    "B8": ("tests/store/test_values.py::test_every_instant_comes_back_equal_and_aware", "tests/services/test_values.py::test_a_fault_of_ours_in_a_request_has_an_outcome_and_is_told_as_ours"),
    "B9": ("tests/api/test_values.py::test_a_trigger_that_fires_at_the_end_of_the_calendar_can_be_looked_at_everywhere",),
    "B10": ("tests/services/test_values.py::test_a_signed_submission_is_an_event_however_it_is_dated",),
    "S17": ("tests/services/ingest/test_other_accounts.py::test_a_request_for_another_account_of_the_organisation_is_counted_and_told", "tests/services/ingest/test_other_accounts.py::test_a_request_that_another_trigger_took_is_told_too_and_counted_once", "tests/services/ingest/test_other_accounts.py::test_nothing_is_told_of_accounts_of_another_organisation"),
    "S29": (_TOLD + "test_a_stalled_trigger_is_told_within_a_minute_of_its_due_time", _TOLD + "test_a_trigger_that_fails_is_told_once_and_once_more_when_it_works_again", _TOLD + "test_dead_letters_are_told_once_a_minute_with_their_number", _TOLD + "test_a_trigger_that_the_service_disables_is_told", "tests/api/v1/test_alerts.py::test_what_happens_is_told_to_a_project_signed_and_to_a_chat", "tests/services/alerts/test_alert_channels.py::test_an_alert_comes_by_e_mail"),
}

LEFT: Mapping[str, str] = {
}
