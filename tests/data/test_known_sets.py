import pytest
import tensorflow_datasets

from infogan_jax.data import known_sets


@pytest.mark.parametrize("name", ["dsprites", "shapes3d", "smallnorb"])
def test_features_are_those_of_the_builder(name, tmp_path):
    features = tensorflow_datasets.builder(name, data_dir=tmp_path).info.features
    known = known_sets.find(name)
    assert known.columns and {column.feature for column in known.columns} <= set(features)
    for column in known.columns:
        is_class = isinstance(features[column.feature], tensorflow_datasets.features.ClassLabel)
        assert features[column.feature].shape == ()
        assert is_class or column.factor.kind != "category"


def test_smallnorb_goes_round_in_its_18_azimuths_and_up_to_70_degrees(tmp_path):
    builder = tensorflow_datasets.builder("smallnorb", data_dir=tmp_path)
    columns = {column.factor.name: column for column in known_sets.find("smallnorb").columns}
    azimuth, elevation = columns["azimuth"], columns["elevation"]
    assert azimuth.step * builder.info.features[azimuth.feature].num_classes == azimuth.factor.period
    last = builder.info.features[elevation.feature].num_classes - 1
    assert elevation.first + elevation.step * last == 70


def test_of_other_sets_the_label_is_known_alone():
    assert known_sets.find("mnist") == ("label", (), False)
