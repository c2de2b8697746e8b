"""The LLM backend in the words of the configuration.

Runs in: master | command line.
"""

from pydantic import SecretStr, ValidationError

from brama.config.settings import Settings
from brama.errors import ConfigError
from jobs.llm.terms import BackendTerms

#: The module of its types; named, for the workers to import.
LLM_MODULE = "jobs.llm.tasks"


def backend_terms(settings: Settings) -> BackendTerms | None:
    """Return the terms of the backend, None if nobody could ask it.

    Raises:
        ConfigError: somebody is to be called back at what is no address.
    """
    section = settings.jobs.backend
    if not settings.jobs.enabled or not section.api_keys:
        return None
    hosts = [section.backend_url] if section.backend_url is not None else []
    try:
        return BackendTerms(
            host=section.host,
            port=section.port,
            api_keys=tuple(key.get_secret_value() for key in section.api_keys),
            environment=section.environment,
            requests_per_minute=section.requests_per_minute,
            callback_hosts=(*hosts, *section.callback_hosts),
            callback_key=_plain(section.callback_key),
            callback_secret=_plain(section.callback_secret),
            provider=section.provider,
            openai_api_key=_plain(section.openai_api_key),
            openai_base_url=section.openai_base_url,
            model=section.model,
            mock_processing_s=section.mock_processing_time,
        )
    except ValidationError as error:
        said = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"jobs.backend.callback_hosts and backend_url (BACKEND_URL): {said}") from None


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
