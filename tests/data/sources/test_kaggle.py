import pytest

from pneumo.data.sources.kaggle import download
from pneumo.errors import DataError


def test_without_a_network_the_manual_way_is_named(home, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(DataError, match="Download the archive in a browser and give its path"):
        download("paultimothymooney/chest-xray-pneumonia", home)


@pytest.mark.parametrize("handle", ["", "chest-xray", "a/b/c", "/b"])
def test_a_handle_is_owner_and_name(home, handle):
    with pytest.raises(DataError, match="Expected kaggle:<owner>/<name>"):
        download(handle, home)
