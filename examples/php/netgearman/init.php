<?php
// The init parameters of each function, as given to Net_Gearman_Worker::addAbility.
return [
    'Greet' => ['greeting' => 'Hello'],
    'greet.de' => ['greeting' => 'Hallo', 'path' => __DIR__ . '/jobs/Greet.php', 'class_name' => 'Net_Gearman_Job_Greet'],
];
