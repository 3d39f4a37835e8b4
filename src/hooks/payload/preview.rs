//! What hooks are told of previews: that one was made, and that its dynos are up.

use serde_json::{Value, json};

use super::{Scene, gone};
use crate::model::app::App;
use crate::model::ids::{PreviewId, ReleaseId};
use crate::model::names::ProcessType;
use crate::model::preview::Preview;
use crate::model::site::Site;
use crate::store::{self, StoreError};

impl Scene<'_> {
    /// With the sites twice: where the document shows them, and where the production server has them.
    pub(super) fn preview(&self, id: PreviewId) -> Result<Value, StoreError> {
        let (preview, app) = self.find_preview(id)?;
        let sites: Vec<Value> =
            store::sites::list_by_preview(self.tx, id)?.iter().map(|site| self.site(site)).collect();
        Ok(json!({
            "change": "create",
            "preview": {
                "app": { "id": app.id, "name": app.name.as_str() },
                "app_setup": setup(&preview, &app),
                "sites": sites.clone(),
            },
            "sites": sites,
        }))
    }

    /// As the release of the preview is told to its own hooks, beside the source that is told of it here.
    pub(super) fn preview_released(&self, id: PreviewId, release: ReleaseId) -> Result<Value, StoreError> {
        let (preview, app) = self.find_preview(id)?;
        let own = Scene { tx: self.tx, sealer: self.sealer, catalogue: self.catalogue, app };
        let mut told = own.released(release, &ProcessType::web())?;
        let source = json!({
            "preview": { "id": preview.id, "app": { "id": own.app.id, "name": own.app.name.as_str() } },
            "source_app": { "id": self.app.id, "name": self.app.name.as_str() },
            "source_space": { "name": self.app.space.name.as_str() },
        });
        if let (Some(told), Value::Object(source)) = (told.as_object_mut(), source) {
            told.extend(source);
        }
        Ok(told)
    }

    fn find_preview(&self, id: PreviewId) -> Result<(Preview, App), StoreError> {
        let preview = store::previews::find(self.tx, id)?.ok_or_else(|| gone("preview", id))?;
        let app = store::apps::find(self.tx, preview.app.id)?.ok_or_else(|| gone("app", preview.app.id))?;
        Ok((preview, app))
    }

    fn site(&self, site: &Site) -> Value {
        let region = &self.catalogue.region;
        json!({
            "id": site.id,
            "domain": site.domain.as_str(),
            "region": { "id": region.id, "name": region.name },
            "created_at": site.created_at,
            "updated_at": site.updated_at,
            "compliance": [],
        })
    }
}

/// The app is there whole; its first build is still to come.
fn setup(preview: &Preview, app: &App) -> Value {
    json!({
        "id": preview.setup,
        "created_at": preview.created_at,
        "updated_at": preview.updated_at,
        "app": { "id": app.id, "name": app.name.as_str() },
        "build": { "id": null, "status": "queued", "output_stream_url": null },
        "progress": 0,
        "status": "pending",
        "failure_message": "",
        "manifest_errors": [],
        "postdeploy": null,
        "resolved_success_url": null,
    })
}
