"""The theme: Gradio's base theme in our colours, system fonts only (nothing is fetched from another host)."""

from pathlib import Path

from gradio import themes

STYLESHEET = Path(__file__).with_name("style.css")
SCRIPT = Path(__file__).with_name("page.js")
"""The stylesheet and script that all tabs share; each tab may add its own."""

BLUE = themes.Color(
    name="weightscope",
    c50="#eef6fb", c100="#d6eaf5", c200="#add4ea", c300="#7ab8db", c400="#3f97c8", c500="#0f7ab3",
    c600="#006699", c700="#00557f", c800="#064766", c900="#0a3a54", c950="#062638",
)  # fmt: skip

SANS = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def build_theme() -> themes.Base:
    """The theme that `launch` takes."""
    return themes.Base(
        primary_hue=BLUE, neutral_hue="slate", radius_size="md", spacing_size="md", font=SANS, font_mono=MONO
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_width="0px",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        link_text_color="*primary_600",
        link_text_color_hover="*primary_700",
        link_text_color_visited="*primary_600",
        link_text_color_dark="*primary_300",
        link_text_color_hover_dark="*primary_200",
        link_text_color_visited_dark="*primary_300",
        slider_color="*primary_600",
        slider_color_dark="*primary_400",
    )
