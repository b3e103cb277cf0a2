import pytest

from raygan.data import dealt, load_data


@pytest.fixture
def digits():
    """The images and shards of a config."""

    def of(config):
        images = load_data(config.data, config.seed)
        return images, dealt(images, config)

    return of
