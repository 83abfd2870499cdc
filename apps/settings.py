"""Every setting of TOM, in one frozen model. Read by main.py, cli and seed 004's functions alone.

Names: a field ``http_port`` is the environment variable ``TOM_HTTP_PORT``; fields that start with
``rl_`` or ``prometheus_`` keep seed 004's names (``RL_ENABLED``, ``PROMETHEUS_PORT``).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from apps.core.errors import ConfigError


def _read_json(given: object) -> object:
    """Return what a text means as JSON; anything else stays as it is."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError:
        raise ValueError("this is no JSON") from None


# Read here and not by the source, so that a text that is no JSON is an error like others.
AS_JSON = (NoDecode, BeforeValidator(_read_json))
Share = Annotated[float, Field(ge=0.0, le=1.0)]


def env_name(field: str) -> str:
    """Return the environment variable that sets a field."""
    return field.upper() if field.startswith(("rl_", "prometheus_")) else f"TOM_{field.upper()}"


class Settings(BaseSettings):
    """All settings; docs/settings.md is generated from their descriptions."""

    model_config = SettingsConfigDict(
        alias_generator=env_name,
        populate_by_name=True,
        env_file=".env",
        env_ignore_empty=True,  # FOO= in a compose file means: not set
        extra="ignore",
        frozen=True,
        str_strip_whitespace=True,
    )

    # --- server
    http_host: str = Field("127.0.0.1", description="Address that HTTP and WebSocket listen on.")
    http_port: int = Field(8080, ge=0, le=65535, description="Their port; 0 picks a free one.")
    max_calls: int = Field(
        8, ge=1, description="Calls at once; one more is refused with a clear `busy`."
    )
    door_max_calls: Annotated[dict[str, int], *AS_JSON] = Field(
        {}, description='The same for single doors by name, as JSON such as `{"sip": 20}`.'
    )
    drain_s: float = Field(
        30.0, ge=0, description="Seconds that live calls have left once the server is told to stop."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Transcripts and ids appear at `debug` alone."
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines look.")
    operator_token: str = Field(
        "",
        description="Opens operators' details from other machines; generated when empty.",
        json_schema_extra={"secret": True},
    )

    # --- trust
    tls_cert: Path | None = Field(
        None, description="Certificate chain as PEM; serves HTTPS and wss together with the key."
    )
    tls_key: Path | None = Field(None, description="Its private key as PEM.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of your reverse proxies, separated by commas: only"
        " theirs X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    trust_loopback: bool = Field(
        True,
        description="Whoever asks from this machine is an operator; false where a proxy on it"
        " brings other people's requests without saying so.",
    )
    allowed_origins: str = Field(
        "",
        description="Origins of other sites' pages that may call, separated by commas, such as"
        " `https://www.example.org`.",
    )
    require_call_token: bool = Field(
        False, description="Browsers and API clients of other machines need a call token."
    )
    calls_per_minute: int = Field(
        30, ge=0, description="New calls of one address a minute, not a carrier's; 0: no limit."
    )
    calls_per_address: int = Field(
        20, ge=0, description="Calls at once of one address, not a carrier's; 0: no limit."
    )

    # --- outgoing calls
    outgoing_caller_id: str = Field(
        "",
        description="The number that callees see; Twilio needs one of your own. The SIP account's"
        " when empty.",
    )
    outgoing_ring_s: float = Field(30.0, ge=5, le=120, description="So long it may ring.")
    outgoing_prefixes: str = Field(
        "",
        description="Beginnings of the numbers that may be called, separated by commas, such as"
        " `+49,+43`; all may when empty.",
    )
    outgoing_holidays: str = Field(
        "",
        description="Days without outgoing calls, separated by commas: `12-25` each year,"
        " `2027-03-26` once.",
    )
    outgoing_max_per_day: int = Field(3, ge=1, description="Attempts per number and day.")
    outgoing_retries: int = Field(
        2, ge=0, le=10, description="Further attempts where nobody was reached."
    )
    outgoing_retry_s: float = Field(
        900.0, ge=10, description="Wait before the first of them; each further one waits double."
    )
    answering_machine: Literal["hangup", "message", "ignore"] = Field(
        "hangup",
        description="Where a machine picks up: hang up, leave one short message after its beep, or"
        " talk to it like to anybody.",
    )

    # --- carriers: Twilio, Telnyx, Vonage
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/\s]+(/[^\s]*)?)?$",
        description="How carriers reach this server, such as `https://tom.example.org`; what they"
        " sign is checked over it. A request's own host when empty.",
    )
    twilio_auth_token: str = Field(
        "",
        description="Checks Twilio's signatures; without it Twilio's door is open to this machine"
        " alone.",
        json_schema_extra={"secret": True},
    )
    twilio_account_sid: str = Field(
        "", description="Twilio's account; with the token, callers can be handed over."
    )
    twilio_api_url: str = Field("https://api.twilio.com", description="Twilio's API.")
    telnyx_public_key: str = Field(
        "",
        description="Checks Telnyx' signatures, as its portal shows it; without it Telnyx' door is"
        " open to this machine alone.",
    )
    telnyx_api_key: str = Field(
        "",
        description="Telnyx' API key; with it, callers can be handed over.",
        json_schema_extra={"secret": True},
    )
    telnyx_api_url: str = Field("https://api.telnyx.com", description="Telnyx' API.")
    vonage_signature_secret: str = Field(
        "",
        description="Checks Vonage's signatures; without it Vonage's door is open to this machine"
        " alone.",
        json_schema_extra={"secret": True},
    )
    vonage_application_id: str = Field(
        "", description="Vonage's voice application; with its key, callers can be handed over."
    )
    vonage_private_key: Path | None = Field(
        None, description="File of that application's private key as PEM."
    )
    vonage_api_url: str = Field("https://api.nexmo.com", description="Vonage's API.")

    # --- OpenAI Realtime clients
    realtime_key: str = Field(
        "",
        description="The API key of OpenAI Realtime clients; without it they come from this machine"
        " alone, or with the operator token.",
        json_schema_extra={"secret": True},
    )

    # --- Asterisk
    asterisk_password: str = Field(
        "",
        description="Opens Asterisk's doors to other machines; without it to this machine alone.",
        json_schema_extra={"secret": True},
    )
    audiosocket_host: str = Field("127.0.0.1", description="Address that AudioSocket listens on.")
    audiosocket_port: int | None = Field(
        None, ge=0, le=65535, description="Its port, usually 9092; AudioSocket is off when unset."
    )

    # --- data
    data_dir: Path = Field(Path("data"), description="Where everything that is kept lies.")
    cache_dir: Path | None = Field(
        None,
        description="Language models and indexes, which can be built anew; "
        "`cache` in TOM_DATA_DIR when unset.",
    )
    hash_key: str = Field(
        "",
        description="Key of the hashes under which ids are stored; generated when empty.",
        json_schema_extra={"secret": True},
    )
    retention_days: int = Field(
        30, ge=1, description="Days that calls, transcripts and feedback details are kept."
    )
    record_calls: bool = Field(
        False, description="Record every call, encrypted; callers are told so in the greeting."
    )
    recording_key: str = Field(
        "",
        description="Seals recordings: a secret text; generated when empty.",
        json_schema_extra={"secret": True},
    )

    # --- calls
    profile: str = Field("kfz", description="The profile of a call that names none.")
    profile_dir: Path | None = Field(
        None, description="Your own profiles and knowledge; the sample `kfz` when unset."
    )
    endpoint_complete_ms: int = Field(
        200, ge=200, le=2500, description="Silence that ends a turn whose words are complete."
    )
    endpoint_silence_ms: int = Field(
        600, ge=200, le=2500, description="The same when the words do not tell, or there are none."
    )
    endpoint_hanging_ms: int = Field(
        1500, ge=200, le=2500, description="The same when the words want something to follow."
    )
    turn_options: Annotated[dict[str, float], *AS_JSON] = Field(
        {}, description="Any other option of turn-taking by its name, as JSON: docs/turn-taking.md."
    )
    no_input_s: float = Field(8.0, gt=0, description="Silence before the caller is asked again.")
    speculate: bool = Field(
        True, description="Begin an answer when the caller may have finished, before it is certain."
    )
    filler_after_ms: int = Field(
        1500, ge=0, description="Say `One moment, please.` where an answer takes longer; 0 never."
    )
    max_call_s: float = Field(1800.0, gt=0, description="A call is ended politely after this.")

    origin: Literal["caller", "test", "demo"] = Field(
        "caller", description="What this server's calls are marked as in the database."
    )

    # --- WebRTC (docs/doors/webrtc.md)
    ice_servers: str = Field(
        "",
        description="STUN and TURN servers for callers behind other networks: addresses such as"
        ' `stun:stun.example.org`, separated by commas, or JSON such as `[{"urls":'
        ' "turn:turn.example.org", "username": "tom", "credential": "..."}]`.',
        json_schema_extra={"secret": True},
    )
    turn_secret: str = Field(
        "",
        description="Shared with the TURN server (coturn's `static-auth-secret`): callers get"
        " credentials of their own for its servers in TOM_ICE_SERVERS that name none.",
        json_schema_extra={"secret": True},
    )

    # --- SIP (docs/doors/sip.md)
    sip: bool = Field(False, description="Take calls of telephones by SIP; `tom serve --sip`.")
    sip_host: str = Field("0.0.0.0", description="Address that SIP and RTP listen on.")  # noqa: S104
    sip_port: int = Field(5060, ge=0, le=65535, description="SIP's port for UDP and TCP.")
    sip_tls_port: int = Field(5061, ge=0, le=65535, description="SIP's port for TLS.")
    sip_transports: str = Field("udp,tcp", description="Which of `udp`, `tcp` and `tls` are open.")
    sip_tls_cert: Path | None = Field(None, description="Certificate of the TLS port, PEM.")
    sip_tls_key: Path | None = Field(None, description="Its key, PEM; in the same file when unset.")
    sip_tls_ca: Path | None = Field(
        None, description="Whom to believe when connecting out by TLS; the system's when unset."
    )
    sip_public_address: str = Field(
        "", description="IP address that telephones reach this server by, where NAT hides it."
    )
    sip_rtp_ports: str = Field(
        "10000-10999", description="UDP ports of the audio; a call takes two."
    )
    sip_codecs: str = Field(
        "OPUS,G722,PCMA,PCMU", description="Codecs that are spoken, the preferred one first."
    )
    sip_srtp: Literal["off", "offered", "required"] = Field(
        "offered", description="Encryption of audio with keys in the SDP: where the peer offers it."
    )
    sip_users: Annotated[dict[str, str], *AS_JSON] = Field(
        {},
        description='Who may call, as JSON `{"user": "password"}`; everybody when empty.',
        json_schema_extra={"secret": True},
    )
    sip_realm: str = Field("tom", description="What telephones show when asked for a password.")
    sip_digests: str = Field(
        "MD5",
        description="How passwords may be proved: `MD5`, `SHA-256` or both; old telephones give up"
        " where SHA-256 is offered.",
    )
    sip_allowed_peers: str = Field(
        "", description="Networks that may send SIP, as `10.0.0.0/8,192.0.2.7`; all when empty."
    )
    sip_profiles: Annotated[dict[str, str], *AS_JSON] = Field(
        {}, description='Profile by the number called, as JSON; `"*"` is every other number.'
    )
    sip_calls_per_minute: int = Field(
        30, ge=1, description="Calls that one address may begin in a minute."
    )
    sip_registrar: str = Field(
        "", description="A provider to register with, as `sip:provider.example`."
    )
    sip_proxy: str = Field(
        "", description="Where the provider's requests are sent; TOM_SIP_REGISTRAR when empty."
    )
    sip_user: str = Field("", description="This server's user, or number, at the provider.")
    sip_auth_user: str = Field("", description="Its name for the password, where that is another.")
    sip_password: str = Field("", description="Its password.", json_schema_extra={"secret": True})

    # --- engines
    stt_engine: Literal["auto", "pocketsphinx", "faster-whisper", "openai", "fake"] = Field(
        "auto", description="Recogniser; `auto` takes faster-whisper where weights are present."
    )
    stt_workers: int = Field(2, ge=1, le=32, description="Recogniser processes.")
    stt_url: str = Field("", description="Base URL of an OpenAI-compatible transcription server.")
    stt_model: str = Field("whisper-1", description="The model's name at that server.")
    stt_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    whisper_model: str = Field("small", description="faster-whisper's model: a name or a folder.")
    whisper_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where it computes; `auto` takes a CUDA device where there is one."
    )
    tts_engine: Literal["auto", "espeak", "piper", "openai", "fake"] = Field(
        "auto", description="Synthesiser; `auto` takes Piper where a voice is present."
    )
    tts_url: str = Field("", description="Base URL of an OpenAI-compatible speech server.")
    tts_model: str = Field("tts-1", description="The model's name at that server.")
    tts_voice: str = Field("alloy", description="The voice's name at that server.")
    tts_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    tts_workers: int = Field(1, ge=1, le=32, description="Processes of espeak-ng or Piper.")
    piper_voice_de: str = Field("de_DE-thorsten-medium", description="Piper's German voice.")
    piper_voice_en: str = Field("en_US-lessac-medium", description="Piper's English voice.")
    models_dir: Path = Field(Path("models"), description="Where weights and voices lie.")
    llm_engine: Literal["auto", "embedded", "openai"] = Field(
        "auto", description="Generation; `auto` takes the server where TOM_LLM_URL is set."
    )
    llm_url: str = Field("", description="Base URL of vLLM or any OpenAI-compatible server.")
    llm_model: str = Field("", description="The model's name at that server.")
    llm_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    llm_first_token_s: float = Field(
        2.0, gt=0, description="Deadline of the first token; then the embedded answerer speaks."
    )

    # --- learning (seed 004's names)
    rl_enabled: bool = Field(
        True, description="False serves the base variant to everybody and learns nothing."
    )
    rl_feedback_db_path: Path = Field(
        Path("data/rl/feedback.db"), description="TOM's database: calls, decisions, feedback."
    )
    store_url: str = Field(
        "",
        description="PostgreSQL instead of that file: `postgresql://user:password@host/database`"
        " (needs the extra `postgres`); for workers on several machines.",
        json_schema_extra={"secret": True},
    )
    rl_bandit_state_path: Path = Field(
        Path("data/rl/bandit_state.json"), description="Snapshot of the posteriors; rebuildable."
    )
    rl_policies_path: Path | None = Field(
        None, description="Prompt variants; docs/policies/prompt_variants.yaml when unset."
    )
    rl_policy: Literal["nig", "beta", "linear", "linear-ucb"] = Field(
        "nig",
        description="How variants are learned: by their rewards alone (nig, or seed 004's"
        " beta), or by slots and context too (linear, linear-ucb).",
    )
    rl_forgetting: int = Field(
        0,
        ge=0,
        description="A reward counts half after this many further rewards; 0 forgets nothing.",
    )
    rl_traffic_split_new: Share = Field(
        0.1,
        description="Most of the traffic that all new variants together may get."
        " When set, this and the next three win over the policy file.",
    )
    rl_traffic_split_uncertain: Share = Field(
        0.05, description="The same for all uncertain variants together."
    )
    rl_blacklist_threshold: float = Field(
        -0.2, ge=-1.0, le=1.0, description="A mean reward below this blacklists a variant..."
    )
    rl_min_pulls_for_blacklist: int = Field(20, ge=1, description="...after this many pulls.")
    rl_blacklist_rule: Literal["confidence", "threshold", "both"] = Field(
        "confidence",
        description="What blacklists: `confidence`, being surely worse than the base variant;"
        " `threshold`, the mean reward above; `both`, either of them.",
    )
    rl_cap_window: int = Field(
        200,
        ge=20,
        le=10_000,
        description="Of any so many consecutive calls the traffic splits hold as hard counts.",
    )
    rl_regret_budget: Share = Field(
        0.05,
        description="What trying variants may cost, as a share of what the base variant alone"
        " would have earned; then it serves alone until that is made good. 1 is no limit.",
    )
    rl_candidates_path: Path = Field(
        Path("data/rl/candidates"),
        description="Where the trainer puts candidates, as YAML files with `variants`.",
    )
    rl_shadow_share: Share = Field(
        0.25,
        description="Share of answered turns that a variant in the shadow answers too, unheard.",
    )

    rl_reward_window_s: int = Field(
        86_400,
        ge=0,
        le=2_592_000,
        description="Seconds after a call's end in which its rating still counts; 0 for none.",
    )
    rl_caller_events_per_hour: int = Field(
        4, ge=1, description="Feedback of one caller within an hour; more is held as a burst."
    )
    rl_caller_rewards_per_day: int = Field(
        6, ge=1, description="Rewards of one caller that count within 24 hours."
    )
    rl_caller_share: float = Field(
        0.05,
        gt=0.0,
        le=1.0,
        description="Largest share of one caller among the latest rewards of a variant.",
    )
    rl_quality_floor: Share = Field(
        0.5, description="Feedback whose quality score is below this is held; 0 holds none for it."
    )
    rl_winsorise: float = Field(
        2.0,
        ge=0.0,
        description="Robust standard deviations from a variant's median reward at which further"
        " rewards are cut; 0 cuts none.",
    )
    rl_feedback_elsewhere: Share = Field(
        0.1,
        description="Largest share of calls that did not run here among a variant's latest rewards,"
        " once any call has run here.",
    )
    rl_seed: int | None = Field(
        None, description="Seeds the choice of variants, for demonstrations and tests alone."
    )

    # --- metrics
    prometheus_enabled: bool = Field(True, description="Serve /metrics.")
    prometheus_port: int | None = Field(
        None, ge=0, le=65535, description="Serve metrics on a port of their own as well."
    )

    @property
    def store(self) -> Path | str:
        """Where the database is: its file, or its URL."""
        return self.store_url or self.rl_feedback_db_path

    @property
    def cache_folder(self) -> Path:
        """Where language models and indexes lie."""
        return self.cache_dir or self.data_dir / "cache"


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment and ``.env``.

    Args:
        **given: Fields that win over both, such as a command's options.

    Raises:
        ConfigError: A value cannot be used.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        names = sorted({str(problem["loc"][0]) for problem in error.errors()})
        raise ConfigError(
            f"What is set cannot be used: {', '.join(names)}.",
            hint="`tom config check` says what is wrong with it.",
        ) from None


@cache
def load_settings() -> Settings:
    """Return the settings of the environment and ``.env``, read once.

    Raises:
        ConfigError: A value cannot be used.
    """
    return read_settings()
