"""An exported folder to the hub: what can be known before the work begins, and the upload."""

from __future__ import annotations

from pathlib import Path

from rollout.errors import UserError


def check_push(repo: str) -> None:
    """Raises `UserError` for a name that the hub does not take, and without a token."""
    from huggingface_hub import get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(
            f"--push {repo!r} is no name of the hub ({str(error).partition('.')[0]}); allowed: ORG/NAME"
        ) from None
    if get_token() is None:
        raise UserError("--push needs a token of the hub; allowed: after `hf auth login`, or with HF_TOKEN set")


def push(folder: Path, repo: str) -> str:
    """Upload the folder to this model, made private where it does not exist; its address. Raises `UserError` where the
    hub refuses."""
    import httpx
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    api = HfApi()
    try:
        made = api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(repo_id=made.repo_id, folder_path=folder, commit_message="A model that judges when to think")
    except (HfHubHTTPError, OfflineModeIsEnabled, httpx.HTTPError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"--push {repo}: the hub refuses ({reason}); {folder} is finished and can be pushed again"
        ) from error
    return str(made)
