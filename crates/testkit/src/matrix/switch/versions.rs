//! Whether clients are offered what both clusters of the chain have, and no more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::kafka::api_versions;

const LIMIT: Duration = Duration::from_secs(10);

type Versions = BTreeMap<i16, (i16, i16)>;

/// How many apis are offered, and the versions that a cluster does not have.
pub(super) fn compare(
    offered: SocketAddr,
    clusters: [SocketAddr; 2],
) -> Result<(usize, Vec<String>), String> {
    let offered = api_versions(offered, LIMIT)?;
    let [one, other] = clusters.map(|address| api_versions(address, LIMIT));
    Ok((offered.len(), too_new(&offered, &[one?, other?])))
}

fn too_new(offered: &Versions, clusters: &[Versions; 2]) -> Vec<String> {
    let check = |(api, (first, last)): (&i16, &(i16, i16))| {
        let has = |cluster: &Versions| {
            cluster.get(api).is_some_and(|(oldest, newest)| oldest <= first && last <= newest)
        };
        (!clusters.iter().all(has)).then(|| {
            let have: Vec<_> = clusters.iter().map(|cluster| cluster.get(api)).collect();
            format!("api {api} in versions {first} to {last}; the clusters have {have:?}")
        })
    };
    offered.iter().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_cluster_does_not_have_is_not_offered() {
        let clusters = [Versions::from([(0, (0, 9)), (1, (4, 16))]), Versions::from([(0, (3, 13))])];
        assert!(too_new(&Versions::from([(0, (3, 9))]), &clusters).is_empty());
        for wrong in [(0, (3, 10)), (0, (2, 9)), (1, (4, 12))] {
            assert_eq!(too_new(&Versions::from([wrong]), &clusters).len(), 1, "{wrong:?}");
        }
    }
}
