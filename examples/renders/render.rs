//! The slow endpoint, written as if no layer were there, but for the progress that it tells.

use axum::{
    Extension, Json,
    extract::rejection::JsonRejection,
    http::header,
    response::{IntoResponse, Response},
};
use tokio::{sync::Semaphore, task};
use tower_respond_async::{OperationHandle, Progress};

use crate::{
    fractal::{self, Canceled},
    problem::Problem,
    view::View,
};

/// Each picture uses every core and up to 50 MB, so later ones wait for their turn.
static TURNS: Semaphore = Semaphore::const_new(4);

/// `POST /renders`: draws a [`View`] and answers with the PNG.
pub(crate) async fn render(
    Extension(handle): Extension<OperationHandle>,
    view: Result<Json<View>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(view) = view?;
    view.validate().map_err(Problem::invalid_view)?;
    let turn = TURNS.acquire().await.map_err(|error| Problem::internal(&error))?;

    // A blocking thread outlives the future that waits for it. The handle tells it when that is gone, whether the
    // client has hung up or the operation was canceled.
    let drawing = task::spawn_blocking(move || {
        let _turn = turn;
        let pixels =
            fractal::draw(&view, || handle.is_canceled(), |part| handle.set_progress(progress(part, view.size)));
        pixels.map(|pixels| encode(&pixels, view.size))
    });
    match drawing.await {
        Ok(Ok(Ok(png))) => Ok(([(header::CONTENT_TYPE, "image/png")], png).into_response()),
        Ok(Ok(Err(error))) => Err(Problem::internal(&error)),
        Ok(Err(Canceled)) => Err(Problem::internal(&"The drawing was canceled.")),
        Err(error) => Err(Problem::internal(&error)),
    }
}

fn progress(part: f64, size: u32) -> Progress {
    let rows = (part * f64::from(size)).round();
    Progress::new(part).message(format!("row {rows} of {size}"))
}

fn encode(pixels: &[u8], size: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, size, size);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(file)
}
