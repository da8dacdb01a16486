"""Files that include files."""

ONE = "model_list: [{model_name: a, litellm_params: {model: echo/a}}]\n"


def test_lists_are_joined_and_mappings_merged_and_marks_keep_their_file(loads):
    loaded = loads(
        "include: [more.yaml]\n" + ONE + "general_settings: {data_dir: d}\n",
        more="\nmodel_list:\n  - model_name: b\n    litellm_params: {model: echo/b, input_cost_per_token: 1.50e-7}\n"
        "general_settings: {master_key: sk-0123456789abcdef}\n",
    )
    assert loaded.problems == ()
    first, second = loaded.spec.deployments
    assert (first.model_name, str(first.mark)) == ("a", "config.yaml:2")
    assert (second.model_name, str(second.mark)) == ("b", "more.yaml:3")
    assert second.params.input_cost_per_token == "1.50e-7"
    assert loaded.spec.general.data_dir == "d"
    assert loaded.spec.general.master_key == "sk-0123456789abcdef"
    assert loaded.spec.files == ("config.yaml", "more.yaml")


def test_problems_name_the_file_they_are_in_and_the_main_file_comes_first(says):
    assert says(
        "include: [a_part.yaml]\n" + ONE + "zzz: 1\n", a_part="model_list: [{litellm_params: {model: x}}]\n"
    ) == [
        "config.yaml:3: warning: zzz: unknown key, ignored: check its spelling, or remove it",
        "a_part.yaml:1: error: model_list[1].model_name: is required: add it",
    ]


def test_the_including_file_wins_with_a_warning(loads):
    loaded = loads(
        "include: [more.yaml]\nlitellm_settings: {request_timeout: 5, drop_params: ~}\n",
        more="litellm_settings: {request_timeout: 6.5, drop_params: true}\n",
    )
    assert [str(problem) for problem in loaded.problems] == [
        (
            "more.yaml:1: warning: litellm_settings.request_timeout: is already set at config.yaml:2, which wins: "
            "remove one of the two"
        )
    ]
    assert loaded.spec.litellm.request_timeout == 5
    assert loaded.spec.litellm.drop_params is True


def test_a_price_of_the_including_file_is_not_replaced_by_the_text_of_another(loads):
    loaded = loads(
        "include: [more.yaml]\nx-prices: &p {input_cost_per_token: 1}\n"
        "model_list: [{model_name: a, litellm_params: {<<: *p, model: echo/a}}]\n",
        more="x-prices: {input_cost_per_token: 0.5}\n",
    )
    assert loaded.spec.deployments[0].params.input_cost_per_token == "1"


def test_includes_are_relative_to_the_file_that_names_them(loads, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.yaml").write_text("include: [two.yaml]\n", "utf-8")
    (tmp_path / "sub" / "two.yaml").write_text(ONE, "utf-8")
    loaded = loads("include: sub/one.yaml\n")
    assert loaded.spec.files == ("config.yaml", "sub/one.yaml", "sub/two.yaml")
    assert str(loaded.spec.deployments[0].mark) == "sub/two.yaml:1"


def test_a_circle_is_an_error(says):
    assert says("include: [a.yaml]\n", a="include: [config.yaml]\n") == [
        (
            "a.yaml:1: error: include[0]: files include each other in a circle "
            "(`config.yaml` -> `a.yaml` -> `config.yaml`): remove this line"
        )
    ]


def test_a_file_reached_twice_is_read_once(loads):
    loaded = loads("include: [a.yaml, b.yaml]\n", a="include: [c.yaml]\n", b="include: [c.yaml]\n", c=ONE)
    assert len(loaded.spec.deployments) == 1


def test_wrong_includes_are_errors_at_their_line(says):
    assert says("include:\n  - none.yaml\n  - 3\n") == [
        (
            "config.yaml:2: error: include[0]: `none.yaml` cannot be read (no such file or directory): "
            "name a file that exists and that this user may read"
        ),
        "config.yaml:3: error: include[1]: expected the name of a file, found a number",
    ]
    assert says("include: {a: b}\n") == ["config.yaml:1: error: include: expected a list of files, found a mapping"]


def test_a_broken_include_is_told_with_its_own_place(says):
    (problem,) = says("include: [a.yaml]\n", a="x: [1\n")
    assert problem.startswith("a.yaml:2: error: ")
