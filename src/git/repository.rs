//! The repository of one app on disk, and what git is asked about it.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::change::ObjectId;
use super::process::{Invocation, Program, Running};
use super::{GitError, PRIVATE_FOLDER};
use crate::ids;

/// Is in the name of a repository that is being made.
pub(super) const HALF_MADE: &str = "half-made-";
/// How long a question to git may take.
const QUESTION_LIMIT: Duration = Duration::from_mins(1);
/// How long the tidying of one repository may take.
const TIDY_LIMIT: Duration = Duration::from_mins(30);
/// Objects that nothing leads to are kept as long: one of them may belong to a push that is under way.
const KEEP_UNREACHABLE: &str = "1.day.ago";

/// A bare repository; it need not be there yet.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    git: Program,
    path: PathBuf,
    /// Where objects lie that were pushed and not let in yet.
    quarantine: Option<PathBuf>,
}

/// What a commit says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CommitText {
    /// `Name <address>`.
    pub(super) author: String,
    pub(super) message: String,
}

impl Repository {
    pub(super) fn new(git: Program, path: PathBuf) -> Self {
        Self { git, path, quarantine: None }
    }

    /// The same with the objects of a push; `None` when they cannot be those of a push into it.
    pub(super) async fn with_quarantine(mut self, folder: Option<PathBuf>) -> io::Result<Option<Self>> {
        if let Some(folder) = &folder {
            let (folder, objects) = (folder.clone(), self.path.join("objects"));
            // git names the folder by the way that it came itself.
            let (folder, objects) =
                (tokio::fs::canonicalize(folder).await?, tokio::fs::canonicalize(objects).await?);
            if !folder.starts_with(&objects) {
                return Ok(None);
            }
        }
        self.quarantine = folder;
        Ok(Some(self))
    }

    /// Makes it where it is not there: beside its place, so that it is there as a whole.
    pub(super) async fn make(&self) -> Result<(), GitError> {
        if tokio::fs::try_exists(&self.path).await? {
            return Ok(());
        }
        let beside = self.path.with_extension(format!("{HALF_MADE}{}", ids::random_secret()));
        let init = self.git.invoke(&[]).args(["init", "--quiet", "--bare", "--template="]).arg(&beside);
        init.ask(QUESTION_LIMIT).await?;
        self.git
            .invoke(&[])
            .arg("--git-dir")
            .arg(&beside)
            .args(["symbolic-ref", "HEAD", "refs/heads/main"])
            .ask(QUESTION_LIMIT)
            .await?;
        tokio::fs::set_permissions(&beside, Permissions::from_mode(PRIVATE_FOLDER)).await?;
        match tokio::fs::rename(&beside, &self.path).await {
            // Another request made it meanwhile.
            Err(_) if tokio::fs::try_exists(&self.path).await? => {
                Ok(tokio::fs::remove_dir_all(&beside).await?)
            }
            renamed => Ok(renamed?),
        }
    }

    /// The names of its branches.
    pub(super) async fn branches(&self) -> Result<Vec<String>, GitError> {
        let listed = self.on().args(["for-each-ref", "--format=%(refname)", "refs/heads"]);
        let listed = listed.ask(QUESTION_LIMIT).await?;
        let text = String::from_utf8_lossy(&listed);
        Ok(text.lines().filter_map(|line| line.strip_prefix("refs/heads/")).map(str::to_owned).collect())
    }

    /// What a clone checks out.
    pub(super) async fn set_default_branch(&self, branch: &str) -> Result<(), GitError> {
        let set = self.on().args(["symbolic-ref", "HEAD"]).arg(format!("refs/heads/{branch}"));
        set.ask(QUESTION_LIMIT).await.map(drop)
    }

    /// What a commit says of itself.
    pub(super) async fn commit(&self, id: &ObjectId) -> Result<CommitText, GitError> {
        let shown = self.on().args(["cat-file", "commit", id.as_str()]).ask(QUESTION_LIMIT).await?;
        Ok(commit_text(&String::from_utf8_lossy(&shown)))
    }

    /// Whether a commit names other repositories, whose content is not here.
    pub(super) async fn has_submodules(&self, id: &ObjectId) -> Result<bool, GitError> {
        let listed = self.on().args(["ls-tree", "--name-only", id.as_str(), "--", ".gitmodules"]);
        Ok(!listed.ask(QUESTION_LIMIT).await?.is_empty())
    }

    /// Begins to write a commit's files as a tar archive.
    pub(super) fn archive(&self, id: &ObjectId) -> Result<Running, GitError> {
        self.on().args(["archive", "--format=tar", id.as_str()]).start()
    }

    /// Bytes on disk, with those of pushes that were not let in yet.
    pub(super) async fn size(&self) -> io::Result<u64> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || size_of(&path)).await.map_err(io::Error::other)?
    }

    /// Packs what is in use and removes what is not.
    pub(super) async fn tidy(&self) -> Result<(), GitError> {
        let prune = format!("--prune={KEEP_UNREACHABLE}");
        self.on().args(["gc", "--quiet", &prune]).ask(TIDY_LIMIT).await.map(drop)
    }

    fn on(&self) -> Invocation {
        let invocation = self.git.invoke(&[]).arg("--git-dir").arg(&self.path);
        match &self.quarantine {
            Some(quarantine) => invocation
                .env("GIT_OBJECT_DIRECTORY", quarantine)
                .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", self.path.join("objects")),
            None => invocation,
        }
    }
}

/// Reads a commit as git keeps it: headers, an empty line, the message.
fn commit_text(text: &str) -> CommitText {
    let (headers, message) = text.split_once("\n\n").unwrap_or((text, ""));
    let author = headers.lines().find_map(|line| line.strip_prefix("author ")).unwrap_or_default();
    // Seconds and time zone follow the address.
    let author =
        author.split_once('>').map_or(author, |(before, _)| author.get(..=before.len()).unwrap_or(author));
    CommitText { author: author.to_owned(), message: message.trim().to_owned() }
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut folders = vec![folder.to_owned()];
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            // Removed by a push that ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) => total += metadata.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn author_and_message_are_read_from_a_commit() {
        let text = "tree 1\nparent 2\nauthor A B <a@b> 1700000000 +0100\ncommitter C <c@d> 1 +0000\ngpgsig x\n y\n\nFirst\n\nMore\n";
        let read = commit_text(text);
        assert_eq!(read, CommitText { author: "A B <a@b>".to_owned(), message: "First\n\nMore".to_owned() });
        assert_eq!(commit_text("tree 1"), CommitText::default());
    }

    #[tokio::test]
    async fn a_quarantine_lies_among_the_objects() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a.git");
        std::fs::create_dir_all(folder.join("objects/incoming")).unwrap();
        let at = async |inside: &str| {
            let git = Program::new(Path::new("git"), Path::new("/"));
            let repository = Repository::new(git, folder.clone());
            repository.with_quarantine(Some(folder.join(inside))).await.unwrap().is_some()
        };
        assert!(at("objects/incoming").await);
        assert!(at("./objects/incoming").await);
        assert!(!at("objects/../").await);
        assert!(!at("/").await);
    }

    proptest! {
        #[test]
        fn no_commit_makes_the_reader_panic(text in "(?s).{0,200}") {
            drop(commit_text(&text));
        }
    }
}
