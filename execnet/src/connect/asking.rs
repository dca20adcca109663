//! Who is asked what only a person knows.

#[cfg(feature = "ssh-native")]
use std::sync::Arc;

#[cfg(feature = "ssh-native")]
use execnet_transport::{
    BoxFuture,
    ssh::{Prompt, Question},
};

#[cfg(feature = "ssh-native")]
use super::patience::Patience;

/// Somebody or nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asking {
    #[cfg(feature = "ssh-native")]
    prompt: Option<Arc<dyn Prompt>>,
}

#[cfg(feature = "ssh-native")]
impl Asking {
    pub(crate) fn set(&mut self, prompt: Arc<dyn Prompt>) {
        self.prompt = Some(prompt);
    }

    /// The same, while whom the time limit of the start waits.
    pub(super) fn patiently(&self, patience: &Arc<Patience>) -> Self {
        let patient = |prompt: &Arc<dyn Prompt>| {
            let patient = Patient { prompt: prompt.clone(), patience: patience.clone() };
            Arc::new(patient) as Arc<dyn Prompt>
        };
        Self { prompt: self.prompt.as_ref().map(patient) }
    }

    pub(super) fn prompt(&self) -> Option<Arc<dyn Prompt>> {
        self.prompt.clone()
    }
}

#[cfg(feature = "ssh-native")]
#[derive(Debug)]
struct Patient {
    prompt: Arc<dyn Prompt>,
    patience: Arc<Patience>,
}

#[cfg(feature = "ssh-native")]
impl Prompt for Patient {
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let mut asking = self.prompt.ask(question);
            let often = self.patience.limit() / 2;
            loop {
                let answer = tokio::time::timeout(often, &mut asking).await;
                self.patience.renew();
                if let Ok(answer) = answer {
                    return answer;
                }
            }
        })
    }
}

#[cfg(all(test, feature = "ssh-native"))]
mod tests {
    use std::time::Duration;

    use execnet_transport::ssh::Topic;

    use super::*;

    /// Takes an hour.
    #[derive(Debug)]
    struct Slow;

    impl Prompt for Slow {
        fn ask(&self, _: Question) -> BoxFuture<'_, Option<String>> {
            Box::pin(async {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Some("at last".to_owned())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_waits_for_the_answer_and_then_begins_anew() {
        let mut asking = Asking::default();
        asking.set(Arc::new(Slow));
        let patience = Arc::new(Patience::new(Duration::from_secs(10)));
        let prompt = asking.patiently(&patience).prompt().unwrap();
        let topic = Topic::Passphrase { path: "key".into() };
        let answer = tokio::select! {
            answer = prompt.ask(Question::new(topic, "?", false, 1)) => answer,
            _ = patience.over() => None,
        };
        assert_eq!(answer.as_deref(), Some("at last"));
        let answered = tokio::time::Instant::now();
        patience.over().await;
        assert_eq!(answered.elapsed(), Duration::from_secs(10));
    }
}
