import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

/** What administrators do beyond topics: ACLs, brokers, replicas, offsets of groups. All versions of the client have it. */
final class AclCases {
    private final Conformance c;

    AclCases(Conformance c) {
        this.c = c;
    }

    void add() {
        c.cases.put("acls", this::acls);
        c.cases.put("broker_config_set", this::brokerConfigSet);
        c.cases.put("log_dirs", this::logDirs);
        c.cases.put("reassign", this::reassign);
        c.cases.put("elect_leaders", this::electLeaders);
        c.cases.put("delete_group_offsets", this::deleteGroupOffsets);
        c.cases.put("list_offsets", this::listOffsets);
    }

    private void acls(ObjectNode facts) throws Exception {
        ResourcePattern topic = new ResourcePattern(ResourceType.TOPIC, c.name("acls"), PatternType.LITERAL);
        AccessControlEntry entry = new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW);
        Conformance.get(c.admin.createAcls(List.of(new AclBinding(topic, entry))).all());
        AclBindingFilter filter = new AclBindingFilter(
                new ResourcePatternFilter(ResourceType.TOPIC, c.name("acls"), PatternType.LITERAL), AccessControlEntryFilter.ANY);
        facts.put("created", seen(filter, 1));
        facts.put("deleted", Conformance.get(c.admin.deleteAcls(List.of(filter)).all()).size());
        facts.put("left", seen(filter, 0));
    }

    /** Each broker hears of a change in its own time. */
    private int seen(AclBindingFilter filter, int expected) throws Exception {
        long deadline = System.nanoTime() + 60_000_000_000L;
        Collection<AclBinding> found;
        do {
            found = Conformance.get(c.admin.describeAcls(filter).values());
        } while (found.size() != expected && System.nanoTime() < deadline);
        return found.size();
    }

    private List<Integer> brokers() throws Exception {
        return Conformance.get(c.admin.describeCluster().nodes()).stream().map(n -> n.id()).sorted().toList();
    }

    /** A setting of the last broker alone. */
    private void brokerConfigSet(ObjectNode facts) throws Exception {
        List<Integer> brokers = brokers();
        ConfigResource last = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(brokers.get(brokers.size() - 1)));
        facts.put("set", alter(last, AlterConfigOp.OpType.SET, "15001"));
        facts.put("deleted", alter(last, AlterConfigOp.OpType.DELETE, "15000"));
    }

    private String alter(ConfigResource of, AlterConfigOp.OpType how, String expected) throws Exception {
        AlterConfigOp op = new AlterConfigOp(new ConfigEntry("log.cleaner.backoff.ms", expected), how);
        Conformance.get(c.admin.incrementalAlterConfigs(Map.of(of, List.of(op))).all());
        return Conformance.settled(expected::equals, () ->
                Conformance.get(c.admin.describeConfigs(List.of(of)).all()).get(of).get("log.cleaner.backoff.ms").value());
    }

    private void logDirs(ObjectNode facts) throws Exception {
        String topic = c.topic("log-dirs", 2, Map.of());
        LogCases.fill(c, topic, 1);
        List<Integer> brokers = brokers();
        int replicas = Conformance.settled(found -> found == 6, () -> replicasOnDisk(topic, brokers));
        facts.put("brokers", brokers.size()).put("replicas", replicas);
    }

    private int replicasOnDisk(String topic, List<Integer> brokers) throws Exception {
        int replicas = 0;
        for (var of : c.admin.describeLogDirs(brokers).descriptions().values()) {
            for (var dir : Conformance.get(of).values()) {
                replicas += (int) dir.replicaInfos().keySet().stream().filter(p -> p.topic().equals(topic)).count();
            }
        }
        return replicas;
    }

    private List<Integer> replicas(String topic) throws Exception {
        return c.describe(topic).partitions().get(0).replicas().stream().map(n -> n.id()).toList();
    }

    /** The same replicas in another order. */
    private void reassign(ObjectNode facts) throws Exception {
        String topic = c.topic("reassign", 1, Map.of());
        List<Integer> before = Conformance.settled(found -> true, () -> replicas(topic));
        List<Integer> wanted = List.of(before.get(2), before.get(0), before.get(1));
        var to = java.util.Optional.of(new NewPartitionReassignment(wanted));
        Conformance.get(c.admin.alterPartitionReassignments(Map.of(Conformance.at(topic, 0), to)).all());
        facts.put("moved", Conformance.settled(wanted::equals, () -> replicas(topic)).equals(wanted));
        facts.put("under_way", Conformance.get(c.admin.listPartitionReassignments(Set.of(Conformance.at(topic, 0))).reassignments()).size());
    }

    private void electLeaders(ObjectNode facts) throws Exception {
        TopicPartition at = Conformance.at(c.topic("elect", 1, Map.of()), 0);
        var elected = Conformance.get(c.admin.electLeaders(ElectionType.PREFERRED, Set.of(at)).partitions()).get(at);
        // The leader is the preferred one.
        facts.put("error", org.apache.kafka.common.protocol.Errors.forException(elected.orElseThrow()).code());
    }

    private void deleteGroupOffsets(ObjectNode facts) throws Exception {
        TopicPartition at = Conformance.at(c.topic("delete-offsets", 1, Map.of()), 0);
        String group = c.name("delete-offsets");
        Conformance.get(c.admin.alterConsumerGroupOffsets(group, Map.of(at, new OffsetAndMetadata(7))).all());
        facts.put("before", Conformance.get(c.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(at).offset());
        Conformance.get(c.admin.deleteConsumerGroupOffsets(group, Set.of(at)).all());
        facts.put("after", Conformance.get(c.admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(at) == null);
    }

    private void listOffsets(ObjectNode facts) throws Exception {
        String topic = c.topic("list-offsets", 2, Map.of());
        LogCases.fill(c, topic, 4);
        for (var of : Map.of("earliest", OffsetSpec.earliest(), "latest", OffsetSpec.latest()).entrySet()) {
            var found = Conformance.get(c.admin.listOffsets(Map.of(
                    Conformance.at(topic, 0), of.getValue(), Conformance.at(topic, 1), of.getValue())).all());
            facts.putArray(of.getKey()).add(found.get(Conformance.at(topic, 0)).offset()).add(found.get(Conformance.at(topic, 1)).offset());
        }
    }
}
